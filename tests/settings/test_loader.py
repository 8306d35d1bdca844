import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings import RateLimit, Settings, SettingsError, load, load_settings
from settings.schema import SECRETS, mask

MONGO = {"MONGO_URL": "mongodb://127.0.0.1/?replicaSet=rs0"}
PASSWORD = "correct-horse"
ROOT = Path(__file__).resolve().parents[2]


def held(**sections: Any) -> dict[str, str]:
    """An environment that holds these settings, and what production asks for."""
    return {**MONGO, "TANDEM_SETTINGS": json.dumps(sections)}


def refusal(path: str | None = None, environ: dict[str, str] | None = None) -> str:
    """The message with which settings are refused; always one line."""
    with pytest.raises(SettingsError) as caught:
        load_settings(path, MONGO if environ is None else environ)
    message = str(caught.value)
    assert "\n" not in message
    return message


def refusal_of(environ: dict[str, str]) -> str | None:
    try:
        load_settings(None, environ)
    except SettingsError as error:
        return str(error)
    return None


def written(folder: Path, text: str, name: str = "settings-web.json") -> str:
    file = folder / name
    file.write_text(text)
    return str(file)


def test_without_a_file_everything_has_its_default() -> None:
    settings = load_settings(None, MONGO)
    assert settings == Settings(mongo=settings.mongo)
    assert settings.web.port == 8000
    assert settings.jobs.packages == ("jobs_service.jobs",)


@pytest.mark.parametrize("name", ["settings-web.json", "settings-jobs.json"])
def test_files_for_production_work_with_what_only_the_place_can_know(name: str) -> None:
    settings = load_settings(str(ROOT / "settings" / name), MONGO)
    assert settings.environment == "production"
    assert not settings.jobs.system_jobs


def test_file_for_development_works_alone() -> None:
    settings = load_settings(str(ROOT / "settings" / "settings-development.json"), {})
    assert settings.development
    assert settings.jobs.system_jobs
    # Both, one after the other, have to fit into the 10 s of scripts/run.
    assert settings.web.drain_seconds + settings.jobs.drain_seconds <= 7


def test_values_of_a_file_are_taken(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '{"runJobs": false, "public": {"a": [1]}, "web": {"port": 81, "sessionDays": 1.5,'
        ' "jobsUrls": ["ws://a/websocket", "wss://b/websocket"]}}',
    )
    settings = load_settings(path, MONGO)
    assert not settings.run_jobs
    assert settings.public == {"a": [1]}
    assert settings.web.port == 81
    assert settings.web.session_days == 1.5
    assert settings.web.jobs_urls == ("ws://a/websocket", "wss://b/websocket")


def test_settings_are_frozen() -> None:
    settings = load_settings(None, MONGO)
    with pytest.raises(AttributeError):
        settings.web.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("environment", "run_jobs", "expected"),
    [
        ("production", True, True),
        ("production", False, False),
        ("development", True, True),
        ("development", False, True),
    ],
)
def test_development_runs_jobs_whatever_the_settings_say(
    environment: str, run_jobs: bool, expected: bool
) -> None:
    settings = load_settings(None, held(environment=environment, runJobs=run_jobs))
    assert settings.jobs_run_here is expected


class TestUnknownKeys:
    @pytest.mark.parametrize(
        ("sections", "message"),
        [
            ({"web": {"prot": 1}}, "web.prot is not a setting; did you mean web.port?"),
            (
                {"web": {"jobs_urls": []}},
                "web.jobs_urls is not a setting; did you mean web.jobsUrls?",
            ),
            ({"runjobs": True}, "runjobs is not a setting; did you mean runJobs?"),
            ({"slots": 2}, "slots is not a setting; did you mean jobs.slots?"),
            ({"log": {"file": ""}}, "log.file is not a setting; there is log.level, log.format"),
            ({"zzz": 1}, "zzz is not a setting"),
            ({"wbe": {"port": 1}}, "wbe is not a setting; did you mean web?"),
        ],
    )
    def test_are_refused_with_the_nearest_known_one(
        self, sections: dict[str, Any], message: str
    ) -> None:
        assert refusal(environ=held(**sections)) == f"TANDEM_SETTINGS: {message}"

    def test_are_refused_with_the_name_of_the_file(self, tmp_path: Path) -> None:
        path = written(tmp_path, '{"web": {"prot": 1}}')
        assert refusal(path).startswith("settings-web.json: web.prot is not")

    @pytest.mark.parametrize(
        ("variable", "nearest"),
        [
            ("TANDEM_WEB__PROT", "TANDEM_WEB__PORT"),
            ("TANDEM_WEB_PORT", "TANDEM_WEB__PORT"),
            ("TANDEM_RUNJOBS", "TANDEM_RUN_JOBS"),
        ],
    )
    def test_are_refused_in_the_environment_too(self, variable: str, nearest: str) -> None:
        expected = f"{variable} is not a setting; did you mean {nearest}?"
        assert refusal(environ={**MONGO, variable: "1"}) == expected

    def test_variables_of_others_are_left_alone(self) -> None:
        load_settings(None, {**MONGO, "TANDEM_DEMO_PASSWORD": "x", "PATH": "/bin", "TAND": "1"})


class TestWrongValues:
    @pytest.mark.parametrize(
        ("sections", "message"),
        [
            ({"web": {"port": "80"}}, "web.port: expected `int`, got `str`"),
            ({"web": {"port": 65536}}, "web.port: expected `int` <= 65535"),
            ({"web": {"drainSeconds": 0}}, "web.drainSeconds: expected `float` > 0.0"),
            ({"web": {"jobsUrls": ["ws://a", 1]}}, "web.jobsUrls[1]: expected `str`, got `int`"),
            ({"web": []}, "web must be an object, got an array"),
            ({"web": None}, "web must be an object, got null"),
            ({"runJobs": "yes"}, "runJobs: expected `bool`, got `str`"),
            ({"environment": "staging"}, "environment: invalid enum value 'staging'"),
            ({"mongo": {"database": "a/b"}}, "mongo.database: expected `str` matching regex"),
            ({"jobs": {"packages": []}}, "jobs.packages: expected `array` of length >= 1"),
            ({"rpc": {"resumeSeconds": -1}}, "rpc.resumeSeconds: expected `float` >= 0.0"),
            ({"rpc": {"maxNestingDepth": 501}}, "rpc.maxNestingDepth: expected `int` <= 500"),
        ],
    )
    def test_are_refused_with_their_path(self, sections: dict[str, Any], message: str) -> None:
        assert refusal(environ=held(**sections)).startswith(f"TANDEM_SETTINGS: {message}")

    def test_are_refused_with_the_name_of_the_variable(self) -> None:
        expected = "TANDEM_WEB__PORT: expected `int`, got `str`"
        assert refusal(environ={**MONGO, "TANDEM_WEB__PORT": "eighty"}) == expected


class TestUnreadableFiles:
    def test_missing(self, tmp_path: Path) -> None:
        path = str(tmp_path / "none.json")
        assert refusal(path) == f"{path}: No such file or directory"

    def test_a_folder(self, tmp_path: Path) -> None:
        assert refusal(str(tmp_path)) == f"{tmp_path}: Is a directory"

    def test_not_json(self, tmp_path: Path) -> None:
        path = written(tmp_path, '{\n  "web": {,}\n}')
        assert refusal(path).startswith("settings-web.json: not JSON at line 2, column 11: ")

    def test_empty(self, tmp_path: Path) -> None:
        message = "settings-web.json: not JSON at line 1, column 1: Expecting value"
        assert refusal(written(tmp_path, "")) == message

    def test_no_object(self, tmp_path: Path) -> None:
        message = "settings-web.json: expected a JSON object, got an array"
        assert refusal(written(tmp_path, "[1]")) == message

    def test_a_key_given_twice(self, tmp_path: Path) -> None:
        path = written(tmp_path, '{"web": {"port": 1, "port": 2}}')
        assert refusal(path) == "settings-web.json: 'port' is given twice in one object"

    def test_not_a_number(self, tmp_path: Path) -> None:
        path = written(tmp_path, '{"web": {"sessionDays": NaN}}')
        assert refusal(path) == "settings-web.json: NaN is not JSON"

    def test_nested_too_deeply(self, tmp_path: Path) -> None:
        refusal(written(tmp_path, '{"public":' + "[" * 200_000))

    def test_not_text(self, tmp_path: Path) -> None:
        file = tmp_path / "settings-web.json"
        file.write_bytes(b'{"a": "\xff"}')
        assert refusal(str(file)) == f"{file}: not UTF-8 (at byte 7)"

    def test_a_byte_order_mark_is_none_of_our_business(self, tmp_path: Path) -> None:
        file = tmp_path / "settings-web.json"
        file.write_text('{"web": {"port": 5}}', encoding="utf-8-sig")
        assert load_settings(str(file), MONGO).web.port == 5


class TestOverrides:
    @pytest.mark.parametrize(
        ("variable", "text", "path", "value"),
        [
            ("TANDEM_WEB__PORT", "9000", "web.port", 9000),
            ("TANDEM_RUN_JOBS", "false", "run_jobs", False),
            ("TANDEM_JOBS__SYSTEM_JOBS", "true", "jobs.system_jobs", True),
            ("TANDEM_JOBS__SYSTEM_JOBS", "1", "jobs.system_jobs", True),
            ("TANDEM_WEB__DRAIN_SECONDS", "0.5", "web.drain_seconds", 0.5),
            (
                "TANDEM_WEB__JOBS_URLS",
                "ws://a/w, ws://b/w",
                "web.jobs_urls",
                ("ws://a/w", "ws://b/w"),
            ),
            ("TANDEM_WEB__JOBS_URLS", '["ws://a/w"]', "web.jobs_urls", ("ws://a/w",)),
            ("TANDEM_WEB__TRUSTED_ORIGINS", "", "web.trusted_origins", ()),
            ("TANDEM_WEB__RATE_LIMITS", "", "web.rate_limits", ()),
            (
                "TANDEM_WEB__RATE_LIMITS",
                '[{"name": "login", "per": "address", "calls": 1, "seconds": 2}]',
                "web.rate_limits",
                (RateLimit(name="login", per="address", calls=1, seconds=2.0),),
            ),
            ("TANDEM_PUBLIC", '{"a": {"b": 1}}', "public", {"a": {"b": 1}}),
            ("TANDEM_RPC__TOKEN", "[not json", "rpc.token", "[not json"),
            ("TANDEM_LOG__LEVEL", "debug", "log.level", "debug"),
        ],
    )
    def test_win_over_the_file(self, variable: str, text: str, path: str, value: Any) -> None:
        environ = held(web={"port": 1, "drainSeconds": 9, "jobsUrls": ["ws://z"]}, runJobs=True)
        found: Any = load_settings(None, {**environ, variable: text})
        for name in path.split("."):
            found = getattr(found, name)
        assert found == value
        assert type(found) is type(value)

    def test_bad_json_is_refused(self) -> None:
        assert refusal(environ={**MONGO, "TANDEM_PUBLIC": "{"}) == "TANDEM_PUBLIC: not JSON"

    def test_mongo_url_wins_over_the_file(self) -> None:
        environ = {**held(mongo={"url": "mongodb://file/"}), "MONGO_URL": "mongodb://variable/"}
        assert load_settings(None, environ).mongo.url == "mongodb://variable/"

    def test_two_different_database_urls_are_refused(self) -> None:
        environ = {**MONGO, "TANDEM_MONGO__URL": f"mongodb://u:{PASSWORD}@h/"}
        message = refusal(environ=environ)
        assert message == "MONGO_URL and TANDEM_MONGO__URL differ; set only one of them"

    def test_command_line_wins_over_the_variable(self, tmp_path: Path) -> None:
        path = written(tmp_path, '{"web": {"port": 2}}')
        assert load_settings(path, held(web={"port": 1})).web.port == 2

    def test_variable_may_hold_a_path(self, tmp_path: Path) -> None:
        path = written(tmp_path, '{"web": {"port": 2}}')
        assert load_settings(None, {**MONGO, "TANDEM_SETTINGS": path}).web.port == 2

    def test_every_setting_has_a_variable(self) -> None:
        described = load(None, MONGO).describe()
        paths = [line.partition(" = ")[0] for line in described.splitlines()]
        for path in paths:
            snake = "".join(f"_{c}" if c.isupper() else c for c in path).upper()
            variable = "TANDEM_" + snake.replace(".", "__")
            unsuitable = refusal_of({**MONGO, variable: "mongodb://x"})
            assert unsuitable is None or "is not a setting" not in unsuitable, variable


class TestUnsafe:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "jobs.example.com"])
    def test_jobs_service_in_the_open_needs_a_token(self, host: str) -> None:
        message = refusal(environ=held(jobs={"host": host}))
        assert message.startswith(f"TANDEM_SETTINGS: jobs.host '{host}' can be reached")
        assert "rpc.token must be set" in message
        environ = {**held(jobs={"host": host}), "TANDEM_RPC__TOKEN": "secret"}
        assert load_settings(None, environ).jobs.host == host

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
    def test_jobs_service_on_this_machine_needs_none(self, host: str) -> None:
        assert load_settings(None, held(jobs={"host": host})).rpc.token == ""

    def test_production_needs_a_database(self) -> None:
        environ = {"TANDEM_SETTINGS": '{"environment": "production"}'}
        assert refusal(environ=environ) == (
            "TANDEM_SETTINGS: environment is production, so mongo.url must be set (MONGO_URL)"
        )


class TestSecrets:
    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            (
                f"mongodb://ada:{PASSWORD}@h:1/x?replicaSet=rs0",
                "mongodb://***@h:1/x?replicaSet=rs0",
            ),
            (f"mongodb+srv://ada:{PASSWORD}@h", "mongodb+srv://***@h"),
            (f"mongodb://ada:a@/{PASSWORD}@h/", "mongodb://***@h/"),
            (
                f"mongodb://h/?tls=true&tlsCertificateKeyFilePassword={PASSWORD}&w=1",
                "mongodb://h/?tls=true&tlsCertificateKeyFilePassword=***&w=1",
            ),
            (
                f"mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:{PASSWORD}",
                "mongodb://h/?authMechanismProperties=***",
            ),
            ("mongodb://h:1,h:2/?replicaSet=rs0", "mongodb://h:1,h:2/?replicaSet=rs0"),
        ],
    )
    def test_are_masked_in_database_urls(self, url: str, shown: str) -> None:
        assert mask("mongo.url", url) == shown

    def test_are_never_shown(self) -> None:
        loaded = load(
            None,
            {
                "MONGO_URL": f"mongodb://ada:{PASSWORD}@h/",
                "TANDEM_RPC__TOKEN": PASSWORD,
            },
        )
        settings = loaded.settings
        assert settings.rpc.token == PASSWORD
        for shown in (
            repr(settings),
            str(settings),
            f"{settings.mongo} {settings.rpc}",
            repr(settings.mongo.__rich_repr__()),
            repr(settings.rpc.__rich_repr__()),
            loaded.describe(),
        ):
            assert PASSWORD not in shown
            assert "***" in shown

    @pytest.mark.parametrize("section", ["mongo", "rpc"])
    @pytest.mark.parametrize("value", [[PASSWORD], {PASSWORD: 1}, PASSWORD])
    def test_are_never_in_an_error(self, section: str, value: Any) -> None:
        name = {"mongo": "url", "rpc": "token"}[section]
        for sections in ({section: {name: value}}, {section: {name: value, "zzz": 1}}):
            assert PASSWORD not in (refusal_of(held(**sections)) or "")
        assert PASSWORD not in (refusal_of({"MONGO_URL": PASSWORD}) or "")

    def test_an_error_in_the_file_does_not_quote_it(self, tmp_path: Path) -> None:
        path = written(tmp_path, f'{{"rpc": {{"token": "{PASSWORD}" x}}}}')
        assert PASSWORD not in refusal(path)

    def test_the_paths_of_secrets_exist(self) -> None:
        described = load(None, MONGO).describe()
        for path in SECRETS:
            assert f"{path} = " in described


def test_description_tells_where_each_value_is_from(tmp_path: Path) -> None:
    path = written(tmp_path, '{"web": {"port": 2}}')
    lines = load(path, {**MONGO, "TANDEM_JOBS__SLOTS": "3"}).describe().splitlines()
    assert "web.port = 2  (settings-web.json)" in lines
    assert "jobs.slots = 3  (TANDEM_JOBS__SLOTS)" in lines
    assert "jobs.spares = 1  (default)" in lines
    assert f'mongo.url = "{MONGO["MONGO_URL"]}"  (MONGO_URL)' in lines


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["web", "port", "jobsUrls", "mongo", "url", "rpc", "token", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_gives_settings_or_one_line(document: Any) -> None:
    environ = {**MONGO, "TANDEM_SETTINGS": "{" + json.dumps(document)[1:]}
    refused = refusal_of(environ)
    assert refused is None or refused.count("\n") == 0
