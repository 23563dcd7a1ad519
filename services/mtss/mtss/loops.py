"""What happens without a request: rehearsals are worked off."""

from common.runtime import Runtime
from mtss.rehearsals.working import work_off


async def rehearse_policies(runtime: Runtime) -> None:
    """Work off every rehearsal that waits, one after the other."""
    while await work_off(runtime):
        pass
