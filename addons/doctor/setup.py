"""What `vertex-tap serve` would read here: options, files and environment. Problems do not end it: what is valid beside
them is examined too."""

import os
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any

from mitmproxy import options
from mitmproxy.proxy import mode_specs

from addons.configuration.limits import Storage
from addons.configuration.listening import LOOPBACK
from addons.configuration.listening import Listening
from addons.configuration.services import Service
from addons.configuration.services import ServiceRoute
from addons.configuration.settings import Settings
from addons.doctor import usable
from addons.doctor.option_texts import parsed_modes
from addons.doctor.option_texts import read_options


@dataclass
class Setup:
    """A set-up, as far as it can be read."""

    options: options.Options
    """mitmproxy's own options."""
    given: Mapping[str, str]
    """Our options: name -> text."""
    problems: Sequence[str]
    """Messages about what cannot be used, such as `vertex_project: write ...`. None is about the ledger."""
    settings: Settings
    """Our options, parsed. Those with problems have their defaults. `usage_db` is not that of the set-up."""
    services: Mapping[str, Service]
    """Services by name, as far as they can be used."""
    routes: Sequence[ServiceRoute]
    storage: Storage = field(default_factory=Storage)
    """Where it is counted what clients use."""
    models: Sequence[str] = ()
    """Models that the configuration names."""
    modes: Sequence[mode_specs.ProxyMode] = ()
    key_files: Mapping[str, Path] = field(default_factory=dict)
    """Where a key file is named, such as `vertex_credentials` -> the file."""
    in_file: frozenset[str] = frozenset()
    """The names of services that the file of services describes, and not the options."""
    incomplete: frozenset[str] = frozenset()
    """The names of services of which a problem is known. They have no credentials."""
    has_clients: bool = False
    """Whether calls need the key of a client."""
    is_online: bool = False
    made: dict[str, Any] = field(default_factory=dict)
    """What one check has found out for others."""

    @property
    def injects(self) -> bool:
        """Whether any service adds credentials that the client does not have."""
        return any(service.injects for service in self.services.values())

    @property
    def reverse(self) -> list[mode_specs.ReverseMode]:
        """The modes in which this proxy is a base URL."""
        return [mode for mode in self.modes if isinstance(mode, mode_specs.ReverseMode)]

    @property
    def trusted(self) -> tuple[str | None, str | None]:
        """The file and the folder with the CAs that upstreams must have, if they are named."""
        file, folder = self.options.ssl_verify_upstream_trusted_ca, self.options.ssl_verify_upstream_trusted_confdir
        return file and os.path.expanduser(file), folder and os.path.expanduser(folder)


def read_setup(set_options: Sequence[str], *, is_online: bool = False) -> Setup:
    """Read what `vertex-tap serve` with the same `--set` would read. Nothing is written. Without `is_online` nothing is
    asked of the network."""
    opts, given, problems, unknown = read_options(set_options)
    modes, of_modes = parsed_modes(opts.mode)
    problems += of_modes
    listening = Listening(modes, opts.listen_host or LOOPBACK, opts.ssl_insecure)
    with usable.requests(are_sent=is_online), usable.commands_run_once():
        configuration, found = usable.configuration_of(given, unknown, listening)
        parts = usable.parts_of(given, configuration)
    return Setup(
        options=opts,
        given=given,
        problems=[*problems, *found],
        settings=configuration.settings,
        services=parts.services,
        routes=parts.routes,
        storage=parts.storage,
        models=parts.models,
        incomplete=parts.incomplete,
        has_clients=parts.has_clients,
        modes=modes,
        key_files=usable.key_files(given),
        in_file=frozenset(str(name) for name, _ in usable.members(usable.document_of(given), "services")),
        is_online=is_online,
    )
