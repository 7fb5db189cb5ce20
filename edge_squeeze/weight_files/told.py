"""What a file of weights tells beside its arrays."""

from __future__ import annotations

from dataclasses import dataclass

from edge_squeeze.networks.design import Network
from edge_squeeze.pictures.preprocessing import Preprocessing
from edge_squeeze.weight_files.keras_graph import Graph


@dataclass(frozen=True)
class Told:
    """How pictures were prepared, which network it is for, and the graph it was saved with; None: it does not say."""

    preprocessing: Preprocessing | None = None
    network: Network | None = None
    graph: Graph | None = None


NOTHING = Told()
