"""Orbax, and its reader and writer of named arrays as we use it."""

import asyncio
import importlib
import logging
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np


def import_orbax() -> ModuleType:
    """Import Orbax (half a second) and silence its log records; what matters in them, we raise or report."""
    ocp = importlib.import_module("orbax.checkpoint")
    # After the import: absl must make its logger itself.
    logging.getLogger("absl").addFilter(_is_not_orbax)
    return ocp


def array_handler() -> Any:
    """Return Orbax's reader and writer of trees of NumPy arrays, which waits for all of them even if one fails.

    Its own gives up at the first failure, and each further one prints a traceback: "Event loop is closed".
    """
    ocp = import_orbax()

    class PatientHandler(ocp.type_handlers.NumpyHandler):
        async def deserialize(
            self, infos: Sequence[Any], args: Sequence[Any] | None = None
        ) -> list:
            args = args or [ocp.RestoreArgs()] * len(infos)
            one = super().deserialize
            read = await _settle(
                [one([info], [arg]) for info, arg in zip(infos, args, strict=True)]
            )
            return [array for [array] in read]

        async def _background_serialize(self, *columns: Sequence[Any]) -> None:
            one = super()._background_serialize  # private: should it go, we are only noisier
            await _settle([one(*([x] for x in row)) for row in zip(*columns, strict=True)])

    handler = PatientHandler(deepcopy_host_arrays=True)  # `save` copies before it returns
    return ocp.PyTreeCheckpointHandler(
        use_compression=False,  # it makes weights 10 % smaller and takes three times as long
        type_handler_registry=ocp.type_handlers.create_type_handler_registry((np.ndarray, handler)),
    )


async def _settle(jobs: Sequence[Any]) -> list[Any]:
    results = await asyncio.gather(*jobs, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def _is_not_orbax(record: logging.LogRecord) -> bool:
    return "/orbax/checkpoint/" not in record.pathname.replace("\\", "/")
