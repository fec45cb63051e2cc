"""mmCIF files with the categories of ModelCIF, the dictionary of computed models.

The categories and their spelling follow the AlphaFold database, which Mol* and ChimeraX read, and version 1.4.9 of the
dictionary (https://github.com/ihmwg/ModelCIF). Mol* colours by pLDDT if ``ma_qa_metric`` names a local metric
``pLDDT`` and ``ma_qa_metric_local`` gives it for each residue.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from ..sequences.ids import clean_id
from ..system.versions import installed_version
from .atoms import Writable, atom_array, residue_names

__all__ = ["cif_text"]

_Category = dict[str, Any]
_DICTIONARY = {
    "dict_name": "mmcif_ma.dic",
    "dict_version": "1.4.9",
    "dict_location": "https://raw.githubusercontent.com/ihmwg/ModelCIF/master/dist/mmcif_ma.dic",
}
_RESERVED = re.compile(r"(data_|save_|loop_$|stop_$|global_$)", re.IGNORECASE)  # words of the CIF syntax


def cif_text(prediction: Writable) -> str:
    """The prediction as mmCIF text, read as a ModelCIF file.

    Identical chains share an entity. pLDDT (0 to 100, that of the residue's CA) stands in ``ma_qa_metric_local`` and in
    ``B_iso_or_equiv`` of each atom; mean pLDDT, pTM and, for a complex, ipTM in ``ma_qa_metric_global``. Chains are
    named A to Z, AA, AB...; residues count from 1 in each; ``auth`` and ``label`` names agree.

    Raises
    ------
    LowmemFoldError
        If coordinates or pLDDT are not finite.
    """
    from biotite.structure.io.pdbx import CIFBlock, CIFCategory, CIFFile

    atoms = atom_array(prediction, prediction.chain_ids)
    categories = {
        **_head(prediction),
        **_molecules(prediction),
        **_provenance(prediction),
        **_confidence(prediction),
        "atom_type": {"symbol": sorted(set(atoms.element))},
        "atom_site": _atom_site(prediction, atoms),
    }
    block = CIFBlock({name: CIFCategory(columns) for name, columns in categories.items()})
    return str(CIFFile({clean_id(prediction.id): block}).serialize())


def _head(prediction: Writable) -> dict[str, _Category]:
    name = clean_id(prediction.id)
    entry = f"_{name}" if _RESERVED.match(name) else name  # a leading underscore makes the writer quote it
    return {
        "entry": {"id": entry},
        "audit_conform": _DICTIONARY,
        "struct": {
            "entry_id": entry,
            "title": f"Predicted structure of {name}",
            "pdbx_structure_determination_methodology": "computational",
        },
    }


def _entities(prediction: Writable) -> dict[str, list[str]]:
    """Sequence of each entity, with the names of its chains, in the order of their first chain."""
    entities: dict[str, list[str]] = {}
    for chain_id, sequence in zip(prediction.chain_ids, prediction.chains, strict=True):
        entities.setdefault(sequence, []).append(chain_id)
    return entities


def _entity_of_chain(prediction: Writable) -> np.ndarray:
    """Entity of each chain from 1: ndarray, shape=(n,), dtype=int64."""
    order = list(_entities(prediction))
    return np.array([order.index(sequence) + 1 for sequence in prediction.chains])


def _molecules(prediction: Writable) -> dict[str, _Category]:
    entities = _entities(prediction)
    numbers = np.arange(1, len(entities) + 1)
    names = residue_names(prediction)
    first = [prediction.chain_ids.index(chain_ids[0]) for chain_ids in entities.values()]
    rows = np.concatenate([np.flatnonzero(prediction.chain_index == chain) for chain in first])
    entity = _entity_of_chain(prediction)
    kinds = np.unique(names)
    return {
        "chem_comp": {
            "id": kinds,
            "type": ["peptide linking" if kind == "GLY" else "L-peptide linking" for kind in kinds],
            "mon_nstd_flag": ["n" if kind == "UNK" else "y" for kind in kinds],
        },
        "entity": {
            "id": numbers,
            "type": ["polymer"] * len(entities),
            "src_method": ["man"] * len(entities),
            "pdbx_description": [
                f"{clean_id(prediction.id)}, chain {', '.join(chain_ids)}" for chain_ids in entities.values()
            ],
            "pdbx_number_of_molecules": [len(chain_ids) for chain_ids in entities.values()],
        },
        "entity_poly": {
            "entity_id": numbers,
            "type": ["polypeptide(L)"] * len(entities),
            "nstd_linkage": ["no"] * len(entities),
            "nstd_monomer": ["yes" if "X" in sequence else "no" for sequence in entities],
            "pdbx_strand_id": [",".join(chain_ids) for chain_ids in entities.values()],
            "pdbx_seq_one_letter_code": [_wrapped(sequence.replace("X", "(UNK)")) for sequence in entities],
            "pdbx_seq_one_letter_code_can": [_wrapped(sequence) for sequence in entities],
        },
        "entity_poly_seq": {
            "entity_id": entity[prediction.chain_index[rows]],
            "num": prediction.residue_number[rows],
            "mon_id": names[rows],
            "hetero": ["n"] * len(rows),
        },
        "struct_asym": {"id": prediction.chain_ids, "entity_id": entity, "details": ["?"] * len(entity)},
        "pdbx_poly_seq_scheme": _numbering(prediction, names, entity),
    }


def _numbering(prediction: Writable, names: np.ndarray, entity: np.ndarray) -> _Category:
    chain_ids = np.array(prediction.chain_ids)[prediction.chain_index]
    return {
        "asym_id": chain_ids,
        "entity_id": entity[prediction.chain_index],
        "seq_id": prediction.residue_number,
        "mon_id": names,
        "pdb_seq_num": prediction.residue_number,
        "auth_seq_num": prediction.residue_number,
        "pdb_mon_id": names,
        "auth_mon_id": names,
        "pdb_strand_id": chain_ids,
        "pdb_ins_code": ["."] * len(names),
    }


def _provenance(prediction: Writable) -> dict[str, _Category]:
    """Data, software and step behind the model: the data sets are the target entities and, last, the model."""
    num_entities = len(_entities(prediction))
    targets = np.arange(1, num_entities + 1)
    model = num_entities + 1
    return {
        "software": {
            "pdbx_ordinal": 1,
            "name": "lowmem_fold",
            "version": installed_version("lowmem-fold") or "?",
            "type": "package",
            "classification": "model building",
            "description": "Structure prediction with ESMFold in little memory",
        },
        "ma_software_group": {"ordinal_id": 1, "group_id": 1, "software_id": 1},
        "ma_data": {
            "id": np.arange(1, model + 1),
            "name": [f"Target {number}" for number in targets] + ["Model"],
            "content_type": ["target"] * num_entities + ["model coordinates"],
        },
        "ma_data_group": {
            "ordinal_id": np.arange(1, model + 1),
            "group_id": [1] * num_entities + [2],
            "data_id": np.arange(1, model + 1),
        },
        "ma_target_entity": {"entity_id": targets, "data_id": targets, "origin": ["designed"] * num_entities},
        "ma_target_entity_instance": {
            "asym_id": prediction.chain_ids,
            "entity_id": _entity_of_chain(prediction),
            "details": ["."] * len(prediction.chains),
        },
        "ma_protocol_step": {
            "ordinal_id": 1,
            "protocol_id": 1,
            "step_id": 1,
            "method_type": "modeling",
            "software_group_id": 1,
            "input_data_group_id": 1,
            "output_data_group_id": 2,
        },
        "ma_model_list": {
            "ordinal_id": 1,
            "model_name": "Predicted model",
            "data_id": model,
            "model_type": "Ab initio model",
        },
        "ma_model_group": {"id": 1, "name": "Predicted model"},
        "ma_model_group_link": {"group_id": 1, "model_id": 1},
    }


def _confidence(prediction: Writable) -> dict[str, _Category]:
    # Metric 1 is the mean pLDDT and 2 the pLDDT per residue, as in the AlphaFold database.
    means = {1: prediction.mean_plddt, 3: prediction.ptm, 4: prediction.iptm}
    stated = {metric: value for metric, value in means.items() if value is not None and np.isfinite(value)}
    metrics = {
        metric: row
        for metric, row in {
            1: ("pLDDT", "pLDDT", "global"),
            2: ("pLDDT", "pLDDT", "local"),
            3: ("pTM", "pTM", "global"),
            4: ("ipTM", "ipTM", "global"),
        }.items()
        if metric == 2 or metric in stated
    }
    names, types, modes = zip(*metrics.values(), strict=True)
    length = prediction.length
    return {
        "ma_qa_metric": {
            "id": list(metrics),
            "name": names,
            "type": types,
            "mode": modes,
            "software_group_id": [1] * len(metrics),
        },
        "ma_qa_metric_global": {
            "ordinal_id": np.arange(1, len(stated) + 1),
            "model_id": [1] * len(stated),
            "metric_id": list(stated),
            "metric_value": [f"{value:.2f}" if metric == 1 else f"{value:.4f}" for metric, value in stated.items()],
        },
        "ma_qa_metric_local": {
            "label_asym_id": np.array(prediction.chain_ids)[prediction.chain_index],
            "label_comp_id": residue_names(prediction),
            "label_seq_id": prediction.residue_number,
            "metric_id": [2] * length,
            "metric_value": [f"{value:.2f}" for value in prediction.plddt],
            "model_id": [1] * length,
            "ordinal_id": np.arange(1, length + 1),
        },
    }


def _atom_site(prediction: Writable, atoms: Any) -> _Category:
    count = len(atoms)
    chain = prediction.chain_index[atoms.residue]
    x, y, z = ([f"{value:.3f}" for value in column] for column in atoms.coord.T.tolist())
    return {
        "group_PDB": ["ATOM"] * count,
        "id": np.arange(1, count + 1),
        "type_symbol": atoms.element,
        "label_atom_id": atoms.atom_name,
        "label_alt_id": ["."] * count,
        "label_comp_id": atoms.res_name,
        "label_asym_id": atoms.chain_id,
        "label_entity_id": _entity_of_chain(prediction)[chain],
        "label_seq_id": atoms.res_id,
        "pdbx_PDB_ins_code": ["?"] * count,
        "Cartn_x": x,
        "Cartn_y": y,
        "Cartn_z": z,
        "occupancy": ["1.00"] * count,
        "B_iso_or_equiv": [f"{value:.2f}" for value in atoms.b_factor],
        "pdbx_formal_charge": ["?"] * count,
        "auth_seq_id": atoms.res_id,
        "auth_comp_id": atoms.res_name,
        "auth_asym_id": atoms.chain_id,
        "auth_atom_id": atoms.atom_name,
        "pdbx_PDB_model_num": ["1"] * count,
    }


def _wrapped(sequence: str, width: int = 80) -> str:
    """Lines of 80 letters, as the database writes them."""
    return "\n".join(sequence[start : start + width] for start in range(0, len(sequence), width))
