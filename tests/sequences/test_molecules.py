"""What is refused as DNA, RNA or a ligand, and the proteins that are not."""

from __future__ import annotations

import pytest

from lowmem_fold.errors import InputError
from lowmem_fold.sequences.fasta import parse_sequence, read_fasta
from lowmem_fold.sequences.molecules import MIN_NUCLEOTIDES, refuse_nucleotides, refuse_other_molecules

GENE = "ATGAAAGCTTTACGTGGCCATTAA"

# Letters


@pytest.mark.parametrize(
    "chain",
    [GENE, GENE.replace("T", "U"), "ACGTNNACGTACGATTTGCA", "ACG" * 5, "*ACG*" * 5, "N" * 100 + "ACG"],
    ids=["dna", "rna", "unknown", "three-letters", "masked", "mostly-unknown"],
)
def test_nucleotides(chain):
    with pytest.raises(InputError, match="x: looks like DNA or RNA, not like a protein") as caught:
        refuse_nucleotides([chain], "x")
    assert "--allow-nucleotide-letters" in str(caught.value) and "allow_nucleotide_letters=True" in str(caught.value)


@pytest.mark.parametrize(
    "chain",
    [
        "A" * 100,
        "GGGGAAAA" * 10,
        "NNNNAAAAGGGG" * 10,
        ("ACG" * 5)[: MIN_NUCLEOTIDES - 1],
        "ACGT" * 10 + "K",
        "ACGT" * 10 + "X",
        "***" * 10 + "ACGT",
        "",
    ],
    ids=["poly-alanine", "low-complexity", "asparagine", "short", "one-lysine", "one-unknown", "masked", "empty"],
)
def test_proteins(chain):
    refuse_nucleotides([chain], "x")


def test_the_chain_is_named():
    with pytest.raises(InputError, match=r"x: chain B looks like DNA or RNA.*A C G T"):
        refuse_nucleotides(["MKT", GENE], "x")


def test_a_file_names_the_record(tmp_path):
    path = tmp_path / "in.fasta"
    path.write_text(f">a\nMKT\n>gene1 cds\nMKT:{GENE[:10]}\n{GENE[10:].lower()}\n")
    with pytest.raises(InputError) as caught:
        read_fasta(path)
    assert str(caught.value).startswith(f"{path}, record 2 (line 3), 'gene1 cds': chain B looks like DNA or RNA")
    assert read_fasta(path, allow_nucleotide_letters=True)[1].chains == ("MKT", GENE)


def test_a_sequence():
    with pytest.raises(InputError, match="sequence 'sequence': looks like DNA"):
        parse_sequence(GENE)
    assert parse_sequence(GENE, allow_nucleotide_letters=True).sequence == GENE
    assert parse_sequence("ACGTU" * 3, keep_unusual=True, allow_nucleotide_letters=True).sequence == "ACGTU" * 3


# Headers


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("B|dna", "'dna'"),
        ("B|RNA", "'rna'"),
        ("C|ccd", "'ccd'"),
        ("C|smiles", "'smiles'"),
        ("D | ligand", "'ligand'"),
        ("B|dna|", "'dna'"),
        ("B|rna|empty", "'rna'"),
        ("ligand|name=lig", "'ligand'"),
        ("dna|name=a", "'dna'"),
        ("glycan|x|y|z", "'glycan'"),
        ("1bna_A mol:na length:12  DNA (5'-D(*CP*GP*CP*G)-3')", "a nucleic acid"),
        ("1BNA_1|Chains A, B|DNA (5'-D(*CP*GP*CP*GP*AP*AP*TP*TP*CP*GP*CP*G)-3')|null", "a nucleic acid"),
        ("1EHZ_1|Chain A|RNA (76-MER)|Saccharomyces cerevisiae (4932)", "a nucleic acid"),
        ("1ABC_2|Chain B|5'-D(*CP*GP*)-3'|", "a nucleic acid"),
    ],
)
def test_headers_of_other_molecules(header, kind):
    with pytest.raises(InputError, match=r"x: by its header this is .*only proteins are taken") as caught:
        refuse_other_molecules(header, "x")
    assert kind in str(caught.value)


@pytest.mark.parametrize(
    "header",
    [
        "A|protein|./a.a3m",
        "A|protein|empty",
        "A|protein",
        "dna|protein",
        "protein|name=binder",
        "protein|dna",
        "protein|name=dna|rna",
        "sp|P12345|AATM_RABIT Aspartate aminotransferase, mitochondrial OS=Oryctolagus cuniculus",
        "tr|A0A024R1R8|A0A024R1R8_HUMAN DNA ligase",
        "gi|15674171|ref|NP_268346.1| 30S ribosomal protein S18 [Lactococcus lactis]",
        "lcl|dna",
        "gnl|rna|x",
        "pdb|1ABC|A Chain A, DNA polymerase",
        "ref|NP_268346.1|",
        "1ABC_1|Chain A|DNA (cytosine-5)-methyltransferase 1|Homo sapiens (9606)",
        "1ABC_1|Chains A, B|RNA polymerase subunit (beta)|Escherichia coli (562)",
        "101M:A|PDBID|CHAIN|SEQUENCE",
        "101m_A mol:protein length:154  MYOGLOBIN",
        "AF-P12345-F1 DNA ligase | ligand binding",
        "dna",
        "ligand",
        "my protein | dna",
        "x|dna|binding",
        "CCD|name=x",
    ],
)
def test_headers_of_proteins(header):
    refuse_other_molecules(header, "x")


def test_a_typed_file_is_refused_before_its_letters_are_read(tmp_path):
    path = tmp_path / "in.fasta"
    path.write_text(">A|protein|./a.a3m\nMKTAYIAK\n>C|smiles\nCC(=O)O\n")
    with pytest.raises(InputError) as caught:
        read_fasta(path, allow_nucleotide_letters=True)
    assert str(caught.value).startswith(
        f"{path}, record 2 (line 3), 'C|smiles': by its header this is of type 'smiles'"
    )
    path.write_text(">protein|name=binder\nMKTAYIAK\n>protein|name=target\nGSHMLEDP\n")
    assert [record.sequence for record in read_fasta(path)] == ["MKTAYIAK", "GSHMLEDP"]
