"""Tables of labels in the forms that people have them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from edge_squeeze.errors import UsageError
from edge_squeeze.pictures import imagenet, label_table
from edge_squeeze.pictures.classes import ClassNames
from edge_squeeze.pictures.labeled import find
from edge_squeeze.pictures.picture_index import PictureIndex

CLASSES = ("tench", "great white shark", "hen, brown", "cock")
PICTURES = ("a.jpg", "b 1.jpg", "sub/c.jpg")
TRUTH = [{0}, {1}, {3}]


def read(
    content: str | bytes, pictures: Sequence[str] = PICTURES, classes: Sequence[str] = CLASSES
) -> tuple[list[set[int]], tuple[str, ...]]:
    text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
    index = PictureIndex([Path("/data/photos", name) for name in pictures], pictures)
    truth, remarks = label_table.read(Path("labels.csv"), text, index, ClassNames(classes))
    return [set(classes) for classes in truth], remarks


FORMS = {
    "with a header": "file,label\na.jpg,tench\nb 1.jpg,great white shark\nsub/c.jpg,cock\n",
    "without a header": "a.jpg,tench\nb 1.jpg,great white shark\nsub/c.jpg,cock\n",
    "with unknown headers": "photo;what is on it\na.jpg;tench\nb 1.jpg;great white shark\nsub/c.jpg;cock\n",
    "with CRLF": "file,label\r\na.jpg,tench\r\nb 1.jpg,great white shark\r\nsub/c.jpg,cock\r\n",
    "with empty lines": "\nfile,label\n\na.jpg,tench\n\nb 1.jpg,great white shark\nsub/c.jpg,cock\n,\n",
    "with semicolons": "file;label\na.jpg;tench\nb 1.jpg;great white shark\nsub/c.jpg;cock\n",
    "with tabs": "file\tlabel\na.jpg\ttench\nb 1.jpg\tgreat white shark\nsub/c.jpg\tcock\n",
    "with spaces": "a.jpg tench\nsub/c.jpg cock\nb 1.jpg great_white_shark\n",
    "quoted": '"file","label"\n"a.jpg","tench"\n"b 1.jpg","great white shark"\n"sub/c.jpg", "cock"\n',
    "the class first": "label,file\ntench,a.jpg\ngreat white shark,b 1.jpg\ncock,sub/c.jpg\n",
    "with columns that do not matter": (
        "n,file,width,label\n1,a.jpg,5,tench\n2,b 1.jpg,6,Great_White_Shark\n3,sub/c.jpg,7,cock\n"
    ),
    "without endings": "id,breed\na,tench\nb 1,great white shark\nc,cock\n",
    "with file names alone": "file,label\na.jpg,tench\nb 1.jpg,great white shark\nc.jpg,cock\n",
    "with the folder": "file,label\nphotos/a.jpg,tench\n./b 1.jpg,great white shark\nphotos\\sub\\c.jpg,cock\n",
    "with paths of another machine": (
        "file,label\n/home/me/photos/a.jpg,tench\n/home/me/photos/b 1.jpg,great white shark\n/x/sub/c.jpg,cock\n"
    ),
    "with numbers": "file,label\na.jpg,0\nb 1.jpg,1\nsub/c.jpg,3\n",
    "with numbers without a header": "a.jpg,0\nb 1.jpg,1\nsub/c.jpg,3\n",
    "with numbers from 1": "file,index_from_1\na.jpg,1\nb 1.jpg,2\nsub/c.jpg,4\n",
    "with WordNet ids": "file,wnid\na.jpg,n01440764\nb 1.jpg,n01484850\nsub/c.jpg,n01514668\n",
    "with all of them": (
        "file,class_index,wordnet_id,name\na.jpg,0,n01440764,tench\nb 1.jpg,1,n01484850,white shark\n"
        "sub/c.jpg,3,n01514668,cock\n"
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_tables_are_read(form: str) -> None:
    assert read(FORMS[form])[0] == TRUTH


def test_a_byte_order_mark_and_umlauts_are_read() -> None:
    assert read("file,label\na.jpg,Bär\n".encode("utf-8-sig"), ("a.jpg",), ("Bär", "Wolf"))[0] == [{0}]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_other_encodings_are_refused(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "labels.csv").write_bytes("file,label\na.jpg,Bär\n".encode(encoding))
    with pytest.raises(UsageError, match=r"labels\.csv cannot be read as text: .* Save it as UTF-8\."):
        find(tmp_path, tmp_path / "labels.csv", ("Bär", "Wolf"))


@pytest.mark.parametrize(
    ("content", "truth"),
    [
        ("a.jpg,tench|cock\n", {0, 3}),
        ("a.jpg,tench;cock\n", {0, 3}),
        ('a.jpg,"0,3"\n', {0, 3}),
        ("a.jpg,0 3\n", {0, 3}),
        ("a.jpg 0 3\n", {0, 3}),
        ('a.jpg,"[0, 3]"\n', {0, 3}),
        ("a.jpg,n01440764 n01514668\n", {0, 3}),
        ("a.jpg,tench\na.jpg,cock\n", {0, 3}),
        ('a.jpg,"hen, brown"\n', {2}),
        ("a.jpg,hen\n", {2}),
        ('a.jpg,"tench, Tinca tinca"\n', {0}),
        ("a.jpg,n01440764 1 2 30 40 n01440764 5 6 70 80 \n", {0}),
    ],
)
def test_a_picture_may_have_several_right_classes(content: str, truth: set[int]) -> None:
    classes, remarks = read(content, ("a.jpg",))
    assert classes == [truth]
    assert remarks == (("1 of 1 pictures has several right classes",) if len(truth) > 1 else ())


def test_pictures_without_a_line_have_no_class_and_lines_without_a_picture_are_counted() -> None:
    truth, remarks = read("file,label\na.jpg,tench\nz.jpg,cock\nsub/c.jpg,\n")
    assert truth == [{0}, set(), set()]
    assert remarks == ("labels.csv: 1 line names a picture not among the 3 to evaluate: z.jpg",)


REFUSED = {
    "a class that is none": (
        "file,label\na.jpg,tinch\n",
        "column label: .*1 of them does not.*\n  tinch .nearest: tench",
    ),
    "no pictures": ("file,label\nx.jpg,tench\n", "names none of the 3 pictures, which are called 'a.jpg'"),
    "no classes": ("a.jpg\nb 1.jpg\n", "names none of the 3 pictures"),
    "an empty file": ("", "names none of the 3 pictures"),
    "more cells than the header": ("file,label\na.jpg,hen, brown\n", "line 2 has 3 cells, the first has 2. Put cells"),
    "a quotation mark that stays open": (
        'file,label\na.jpg,"tench\nb 1.jpg,cock\n',
        "is not valid CSV: unexpected end",
    ),
    "numbers from 0 or 1": ("file,label\na.jpg,1\nsub/c.jpg,2\n", "may count from 0 or from 1.*header that says it"),
    "such numbers without a header": ("a.jpg,1\nsub/c.jpg,2\n", "may count from 0 or from 1"),
    "numbers of both": ("file,label\na.jpg,0\nsub/c.jpg,4\n", "required numbers from 0 to 3, or from 1 to 4"),
    "the last number under a header from 0": ("file,class_index\na.jpg,4\n", "required numbers from 0 to 3, got 4"),
    "0 under a header from 1": ("file,index_from_1\na.jpg,0\n", "required numbers from 1 to 4, got 0"),
    "labels that contradict": (
        "file,class_index,name\na.jpg,0,tench\nsub/c.jpg,2,cock\n",
        "column class_index: '2' in line 3 is class 2, but the line's other label is class 3",
    ),
    "one picture under two names": ("a.jpg,tench\n./a.jpg,cock\n", r"./a.jpg and a.jpg are read as the same picture"),
    "the development kit's ids": ("file,ilsvrc_id\na.jpg,1\n", "need a model of its 1,000 classes; got one of 4"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_be_read_wrongly_is_refused(case: str) -> None:
    content, message = REFUSED[case]
    with pytest.raises(UsageError, match=f"(?s){message}"):
        read(content)


def test_numbers_say_how_they_were_read() -> None:
    assert read("file,class_index\na.jpg,1\n")[1] == (
        "labels.csv, column class_index: read as numbers that count from 0",
    )
    assert read("file,label\na.jpg,4\n") == (
        [{3}, set(), set()],
        ("labels.csv, column label: the numbers count from 1, since 4 is among them and 0 is not",),
    )


def test_files_of_the_same_name_are_told_apart_by_their_folders() -> None:
    pictures = ("cat/1.jpg", "dog/1.jpg")
    assert read("file,label\ncat/1.jpg,tench\ndog/1.jpg,cock\n", pictures)[0] == [{0}, {3}]
    assert read("file,label\nphotos/cat/1.jpg,tench\n", pictures)[0] == [{0}, set()]
    with pytest.raises(UsageError, match=r"'1\.jpg' may be cat/1\.jpg or dog/1\.jpg"):
        read("file,label\n1.jpg,tench\ndog/1.jpg,cock\n", pictures)


def test_a_picture_of_another_split_is_not_taken_for_one_of_the_same_name() -> None:
    truth, remarks = read("file,label\ntrain/a.jpg,cock\nphotos/a.jpg,tench\n", ("a.jpg",))
    assert truth == [{0}]
    assert "1 line names a picture not among" in remarks[0]


def test_numbers_of_imagenet_that_count_from_1_are_not_guessed() -> None:
    names, pictures = imagenet.names(), ("ILSVRC2012_val_00000001.JPEG", "ILSVRC2012_val_00000002.JPEG")
    lines = "ILSVRC2012_val_00000001.JPEG 490\nILSVRC2012_val_00000002.JPEG 1000\n"
    with pytest.raises(UsageError, match=r"outputs, counted from 1, or ILSVRC2012's own ids.*ilsvrc_id"):
        read(lines, pictures, names)
    assert read("file ilsvrc_id\n" + lines, pictures, names)[0] == [{65}, {543}]  # sea snake, dumbbell
    assert read("file index_from_1\n" + lines, pictures, names)[0] == [{489}, {999}]
    kaggle = "ImageId,PredictionString\nILSVRC2012_val_00000001,n01751748 111 108 431 202 \n"
    assert read(kaggle, pictures, names)[0] == [{65}, set()]
