"""Names of array types, as text: the client's install imports them and has no numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Uint8Array: TypeAlias = "NDArray[np.uint8]"
Float16Array: TypeAlias = "NDArray[np.float16]"
Float32Array: TypeAlias = "NDArray[np.float32]"
Float64Array: TypeAlias = "NDArray[np.float64]"
