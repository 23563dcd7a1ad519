"""Proofs: 100,000 decisions made again from the facts as they were known then, through the route that `trellis verify` asks.

Beside it in the same run: reading the same decisions and nothing else. The second size shows whether the time grows with it.
"""

import asyncio
import time

import httpx

from bench.parts.district import DAYS, District
from bench.parts.machine import machine
from bench.parts.report import note, report
from common.migrations import migrate_within
