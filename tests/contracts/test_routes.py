"""Where services answer."""

from importlib import import_module

import pytest

from tests.harness import SERVICES


@pytest.mark.parametrize("service", SERVICES)
def test_every_route_of_a_service_stands_under_its_name(service: str) -> None:
    paths = [route.path for route in import_module(f"{service}.app").app.routes]
    assert paths
    assert [path for path in paths if path.split("/")[1] != service] == []
