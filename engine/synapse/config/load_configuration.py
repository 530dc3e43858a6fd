"""Loads configurations as Synapse does at its start, and ends before it would connect to a database or listen.

Run with -c by the target's Python, in the working directory of the target's Synapse. Standard input: {"configurations": [[file, ...], ...],
"serverVersion": number or null, "connect": boolean}. Standard output: {"version": text, "problems": [[problem, ...], ...]}.
"""

import json
import os
import re
import sys
import traceback
from importlib import metadata

question = json.load(sys.stdin)
answer = os.fdopen(os.dup(1), "w")
# What Synapse and its modules print is no part of the answer.
os.dup2(2, 1)

problems = []
# What is known of an error beside its own words, by the identity of the error.
known = {}


def tell(error):
    chain = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__
    facts = {"missing": None, "extra": None, "setting": None, "module": None}
    for each in chain:
        facts.update(known.get(id(each), {}))
        if isinstance(each, ImportError) and each.name:
            facts["missing"] = each.name.split(".")[0]
    facts["extra"] = facts["extra"] or extra_with(facts["missing"], facts["setting"] or "")
    # Pydantic quotes what it refuses, cut in the middle: a secret would not be recognised in it.
    message = re.sub(r" \[type=[^\n]*input_value=[^\n]*", "", words(chain[0])).strip()
    problems.append({"message": message, **facts})


def extra_with(missing, setting):
    """The extra of Synapse that has a distribution of this name: where several do, the one that the setting is called after."""
    extras = set()
    try:
        lines = metadata.requires("matrix-synapse") or []
    except metadata.PackageNotFoundError:
        return None
    for line in lines if missing else []:
        requirement, _, marker = line.partition(";")
        if re.match(r"[\w.-]+", requirement).group().lower().replace("-", "_") == missing.lower():
            extras.update(re.findall(r"extra == ['\"]([\w-]+)['\"]", marker))
    return min(extras - {"all", "dev", "test"}, key=lambda extra: (not setting.startswith(extra), extra), default=None)


def words(error):
    if isinstance(error, ConfigError):
        return "".join(format_config_error(error))
    if hasattr(error, "dependencies"):
        return "Missing Requirements: " + ", ".join(error.dependencies)
    # An error that Synapse did not foresee does not say which setting it is about: the line that reads it does.
    frames = traceback.extract_tb(error.__traceback__)
    read = [frame for frame in frames if re.search(r"/synapse/config/(?!_)\w+\.py$", frame.filename)]
    where = f" (synapse/config/{os.path.basename(read[-1].filename)}: {read[-1].line})" if read else ""
    return f"{type(error).__name__}: {error}{where}"


def watched(function, facts):
    """The function, whose errors are remembered with the facts that its arguments tell."""

    def watching(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except Exception as error:
            known.setdefault(id(error), facts(*args, **kwargs))
            kept.append(error)
            raise

    return watching


# An error that is still there keeps its identity to itself.
kept = []


def watch(module, name, facts):
    """Wherever it was imported to by its name."""
    original = getattr(module, name)
    for other in list(sys.modules.values()):
        if getattr(other, name, None) is original:
            setattr(other, name, watched(original, facts))


class VersionTaken(Exception):
    pass


class OfVersion:
    """A connection of which only the server's version is known: encoding and collation are the migration's own."""

    def __init__(self, version):
        self.server_version = version

    def cursor(self):
        raise VersionTaken


def check_database(config):
    from synapse.storage.engines import create_engine

    database = config.database.databases[0].config
    engine = create_engine(database)
    version = question["serverVersion"]
    if question["connect"]:
        args = {key: value for key, value in database["args"].items() if not key.startswith("cp_")}
        connection = engine.module.connect(**args)
        version = connection.server_version
        connection.close()
    if version is None:
        return
    try:
        engine.check_database(OfVersion(version))
    except VersionTaken:
        pass


def check_listeners(config):
    for listener in config.server.listeners:
        resources = getattr(listener.http_options, "additional_resources", None) or {}
        for path, resource in resources.items():
            module_loader.load_module(resource, ("listeners", "additional_resources", path))


def check_registration(config):
    """Synapse before it had `validate_config`: the same refusal, made by its start."""
    registration = config.registration
    if (
        not hasattr(HomeServerConfig, "validate_config")
        and registration.enable_registration
        and not registration.enable_registration_without_verification
        and not config.captcha.enable_registration_captcha
        and not registration.registrations_require_3pid
        and not registration.registration_requires_token
    ):
        raise ConfigError("You have enabled open registration without any verification", ("enable_registration",))


def load(files):
    attempt(check_dependencies.check_requirements)
    config = attempt(Collecting.load_config, "", [word for file in files for word in ("--config-path", file)])
    if config is None:
        return
    attempt(check_registration, config)
    attempt(check_listeners, config)
    attempt(lambda: load_appservices(config.server.server_name, config.appservice.app_service_config_files))
    attempt(check_database, config)


def attempt(act, *args):
    try:
        return act(*args)
    except SystemExit as error:
        tell(RuntimeError(f"it ends with {error.code}"))
    except Exception as error:
        # What a section that was refused has not set is missed by those that look there.
        if not (problems and isinstance(error, AttributeError)):
            tell(error)
    return None


try:
    import synapse
    from synapse.util import check_dependencies, module_loader
    from synapse.config._base import ConfigError, format_config_error
    from synapse.config.appservice import load_appservices
    from synapse.config.homeserver import HomeServerConfig
except Exception as error:
    version = None
    ConfigError = ()
    tell(error)
    results = [problems for _ in question["configurations"]]
else:
    version = synapse.__version__
    watch(check_dependencies, "check_requirements", lambda extra=None: {"extra": extra})
    watch(
        module_loader,
        "load_module",
        lambda provider, path: {"setting": ".".join(path), "module": str(provider.get("module"))},
    )

    class Collecting(HomeServerConfig):
        """Goes on after a section that is refused, so that all that are refused are named at once."""

        def invoke_all(self, function, *args, **kwargs):
            results = {}
            for kind in self.config_classes:
                section = getattr(self, kind.section)
                if hasattr(section, function):
                    results[kind.section] = attempt(lambda: getattr(section, function)(*args, **kwargs))
            return results

    results = []
    for files in question["configurations"]:
        problems = []
        load(files)
        results.append(problems)

json.dump({"version": version, "problems": results}, answer)
answer.close()
