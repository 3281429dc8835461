"""Who is registered: plugins are found, loaded one by one, and asked for their backends.

A plugin that fails is kept as data: `backends()` shows it, and only asking for it by name
raises. The environment variable RELU_OPT_PLUGINS limits loading to the entry points it names,
separated by commas.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import cast

import pluggy

from relu_opt.errors import (
    BackendUnavailable,
    PluginConflict,
    PluginLoadError,
    UnknownBackend,
    did_you_mean,
)
from relu_opt.plugins import hookspec
from relu_opt.plugins.isolation import Interrupts, guarded, named
from relu_opt.plugins.logbook import Logbook
from relu_opt.plugins.types import (
    API_VERSION,
    Availability,
    BackendInfo,
    Program,
    ProgressEvent,
    RawSolution,
    SolveOptions,
    State,
)
from relu_opt.program.losses import Loss, register_loss

log: logging.Logger = logging.getLogger("relu_opt.plugins")


@dataclass(frozen=True)
class BackendStatus:
    """A backend, or a plugin that failed, as `backends()` lists it.

    Attributes
    ----------
    name : str
        The backend's name; for a plugin that failed to load, its entry point's name.
    distribution : str
        The installed distribution that brings it.
    info : BackendInfo or None
        What it registered; None if its plugin failed.
    availability : Availability
        Whether it can be used here, and why not.
    error : PluginLoadError or PluginConflict or None
        What asking for it by name raises.
    """

    name: str
    distribution: str
    info: BackendInfo | None
    availability: Availability
    error: PluginLoadError | PluginConflict | None = None


class CoreSolve:
    """The core's own implementation of the solve hook: it calls the backend."""

    @hookspec.hookimpl(trylast=True)
    def relu_opt_solve(
        self, backend: BackendInfo, program: Program, options: SolveOptions
    ) -> RawSolution:
        """Load the backend and let it solve."""
        return backend.load().solve(program, options)


class Registry:
    """The plugins of one process and the backends that they registered."""

    def __init__(self) -> None:
        self.manager: pluggy.PluginManager = pluggy.PluginManager(hookspec.PROJECT)
        self.manager.add_hookspecs(hookspec)
        self.manager.register(CoreSolve(), "relu_opt.core")
        self.manager.register(Logbook(), "relu_opt.logbook")
        self._failures: dict[str, BackendStatus] = {}
        self._clashes: dict[str, BackendStatus] = {}
        self._backends: dict[str, tuple[BackendInfo, str]] = {}
        chosen = os.environ.get("RELU_OPT_PLUGINS")
        allowed = None if chosen is None else {name.strip() for name in chosen.split(",")}
        for entry in sorted(
            importlib.metadata.entry_points(group=hookspec.PROJECT), key=lambda e: e.name
        ):
            if allowed is None or entry.name in allowed:
                distribution = entry.dist.name if entry.dist else "unknown"
                self.add(entry.name, distribution, entry.load)

    def add(self, name: str, distribution: str, load: Callable[[], object]) -> None:
        """Load a plugin and register its backends; a failure is recorded, not raised."""
        # Distributions may choose the same name for their entry points.
        unique = f"{distribution}:{name}"
        try:
            infos = guarded(lambda: self._loaded(unique, load))
        except Exception as error:  # noqa: BLE001 - a stranger's plugin may raise anything
            if self.manager.has_plugin(unique):
                self.manager.unregister(name=unique)
            self._fail(name, distribution, error)
            return
        for info in infos:
            self._register(info, distribution)

    def _loaded(self, unique: str, load: Callable[[], object]) -> list[BackendInfo]:
        plugin = load()
        self.manager.register(plugin, unique)
        self.manager.check_pending()
        for loss in self._ask(plugin, self.manager.hook.relu_opt_losses):
            register_loss(cast(type[Loss], loss))
        return [_checked(info) for info in self._ask(plugin, self.manager.hook.relu_opt_backends)]

    def _ask(self, plugin: object, hook: pluggy.HookCaller) -> list[object]:
        """What one plugin answers to a hook that lists things."""
        for call in hook.get_hookimpls():
            if call.plugin is plugin:
                return list(cast(Iterable[object], call.function()))
        return []

    def _register(self, info: BackendInfo, distribution: str) -> None:
        earlier = self._backends.get(info.name)
        if earlier is None and info.name not in self._clashes:
            self._backends[info.name] = (info, distribution)
            return
        self._backends.pop(info.name, None)
        known = self._clashes.get(info.name)
        others = earlier[1] if earlier else known.distribution if known else ""
        clash = PluginConflict(
            f"Backend {info.name!r} is registered by {others!r} and by {distribution!r}. "
            "Uninstall one, or limit loading with RELU_OPT_PLUGINS.",
            name=info.name,
            distributions=(*others.split(", "), distribution),
        )
        broken = Availability(State.BROKEN, clash.message)
        self._clashes[info.name] = BackendStatus(
            info.name, f"{others}, {distribution}", None, broken, clash
        )

    def _fail(self, name: str, distribution: str, error: Exception) -> None:
        failure = PluginLoadError(
            f"Plugin {name!r} of {distribution!r} failed to load: {named(error)}. Repair or "
            f"uninstall {distribution!r}.",
            plugin=name,
            distribution=distribution,
        )
        failure.__cause__ = error
        log.warning("%s", failure.message)
        broken = Availability(State.BROKEN, failure.message)
        self._failures[name] = BackendStatus(name, distribution, None, broken, failure)

    def infos(self) -> dict[str, BackendInfo]:
        """The registered backends by name, whether they can be used or not."""
        return {name: info for name, (info, _) in self._backends.items()}

    def statuses(self) -> list[BackendStatus]:
        """Every backend and every failed plugin, sorted by name; probes run now."""
        found = [
            BackendStatus(name, distribution, info, self.probe(info))
            for name, (info, distribution) in self._backends.items()
        ]
        broken = [*self._clashes.values(), *self._failures.values()]
        return sorted([*found, *broken], key=lambda status: status.name)

    def probe(self, info: BackendInfo) -> Availability:
        """Whether a backend can be used here; a probe that raises says that it is broken."""
        try:
            found = guarded(info.probe)
            if not isinstance(found, Availability):
                raise TypeError(f"it returned {found!r}, which is no Availability")
            return found
        except Exception as error:  # noqa: BLE001 - a stranger's probe may raise anything
            return Availability(State.BROKEN, f"its probe raised {named(error)}")

    def find(self, name: str) -> BackendInfo:
        """The backend of this name, ready to use.

        Raises
        ------
        UnknownBackend, PluginLoadError, PluginConflict, BackendUnavailable
        """
        broken = self._clashes.get(name)
        if broken is None and name not in self._backends:
            broken = self._failures.get(name)
        if broken is not None and broken.error is not None:
            raise broken.error
        if name not in self._backends:
            raise UnknownBackend(
                f"There is no backend {name!r}. {did_you_mean(name, self._backends)} "
                "`relu-opt backends` lists them.",
                backend=name,
                known=sorted(self._backends),
            )
        info = self._backends[name][0]
        found = self.probe(info)
        if found.state not in (State.READY, State.UNKNOWN):
            hint = f" Fix: {info.install_hint}." if info.install_hint else ""
            raise BackendUnavailable(
                f"Backend {name!r} cannot be used here ({found.state.value}): "
                f"{found.reason}.{hint}",
                backend=name,
                state=found.state,
                reason=found.reason,
            )
        return info

    def notify(self, hook: str, **arguments: object) -> None:
        """Call an observer hook; errors of observers are logged and change nothing."""
        for call in getattr(self.manager.hook, hook).get_hookimpls():
            tell = partial(call.function, *(arguments[name] for name in call.argnames))
            try:
                # A callback of the user's own may end the work; a plugin's may not.
                _ = tell() if isinstance(call.plugin, Observer) else guarded(tell)
            except Exception:
                log.exception("Observer %s of plugin %s failed", hook, call.plugin_name)


def _checked(info: object) -> BackendInfo:
    if not isinstance(info, BackendInfo):
        raise TypeError(f"relu_opt_backends gave {info!r}, which is not a BackendInfo")
    if info.api_version != API_VERSION:
        raise TypeError(
            f"backend {info.name!r} was written for plugin API {info.api_version}, and this "
            f"relu_opt has API {API_VERSION}"
        )
    return info


@lru_cache(maxsize=1)
def registry() -> Registry:
    """The registry of this process, made at first use."""
    return Registry()


def announce(event: object) -> None:
    """Tell all observers of a `ProgressEvent`; what a backend calls one comes as it is."""
    registry().notify("relu_opt_progress", event=event)


def backends() -> list[BackendStatus]:
    """What is registered, what is ready to use, and why not."""
    return registry().statuses()


@dataclass(frozen=True, eq=False)
class Observer:
    """A callback of the user's own; its KeyboardInterrupt ends the work like Ctrl-C."""

    callback: Callable[[ProgressEvent], None]

    @hookspec.hookimpl
    def relu_opt_progress(self, event: ProgressEvent) -> None:
        """Pass it on."""
        try:
            self.callback(event)
        except KeyboardInterrupt:
            Interrupts.asked += 1
            raise


@contextmanager
def observe(callback: Callable[[ProgressEvent], None]) -> Iterator[None]:
    """Call `callback` with every `ProgressEvent` while the context is open.

    Its errors are logged and change nothing; a KeyboardInterrupt ends the work like Ctrl-C.
    """

    observer = Observer(callback)
    registry().manager.register(observer)
    try:
        yield
    finally:
        registry().manager.unregister(observer)
