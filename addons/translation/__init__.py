"""Pure protocol conversion: dicts and bytes in, dicts and bytes out. Nothing here knows mitmproxy."""
