"""Bodies of chats as people read them. `show` does all of it: `read_body` finds out what a body is and reads it into
the neutral form, `write_lines` writes that as lines of text, `fold` shortens base64."""
