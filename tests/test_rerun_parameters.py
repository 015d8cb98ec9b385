"""What a rerun may be asked for: equal settings, values with commas, files and folders."""

import json

import pytest
from demo import DEMO, write_demo

pytest.importorskip("papermill")
pytest.importorskip("joblib")
from reidkit.teach import rerun  # noqa: E402
from reidkit.teach.parameters import Refused, grid  # noqa: E402


def declared():
    return {
        "SEED": {"inferred_type_name": "int"},
        "SCALE": {"inferred_type_name": "float"},
        "WORD": {"inferred_type_name": "str"},
        "FAIL": {"inferred_type_name": "bool"},
        "LOOSE": {"inferred_type_name": "None"},
        "DEVICE": {"inferred_type_name": "str"},
    }


SAME = [
    ("SEED=0,0,00", [{"SEED": 0}], "1 runs instead of 3"),
    ("SEED=0, 0,+0,1", [{"SEED": 0}, {"SEED": 1}], "2 runs instead of 4"),
    ("SEED=[0, 0, 2]", [{"SEED": 0}, {"SEED": 2}], "2 runs instead of 3"),
    ('SEED=[0, "00"]', [{"SEED": 0}], "1 runs instead of 2"),
    ("SCALE=1,1.0,1e0,10e-1", [{"SCALE": 1.0}], "1 runs instead of 4"),
    ("SCALE=0,-0.0", [{"SCALE": 0.0}], "1 runs instead of 2"),
    ("PRESET=smoke,smoke", [{"PRESET": "smoke"}], "1 runs instead of 2"),
    ("WORD=red,red,Red", [{"WORD": "red"}, {"WORD": "Red"}], "2 runs instead of 3"),
    ("FAIL=True,True", [{"FAIL": True}], "1 runs instead of 2"),
    ("DEVICE=cpu,cpu", [{"DEVICE": "cpu"}], "1 runs instead of 2"),
]


def with_preset():
    return declared() | {"PRESET": {"inferred_type_name": "str"}}


@pytest.mark.parametrize("wish, tasks, words", SAME)
def test_equal_settings_are_one_run_and_a_line_says_so(wish, tasks, words, capsys):
    assert grid([wish], with_preset()) == tasks
    told = capsys.readouterr().err
    assert wish in told and words in told and len(told.splitlines()) == 1
    found = grid([wish, "SEED=7" if "SEED" not in wish else "WORD=x"], with_preset())
    assert len(found) == len(tasks)


def test_not_a_number_is_one_setting_too():
    assert len(grid(["SCALE=nan,nan,1"], declared())) == 2


def test_auto_is_another_word_for_the_device_of_this_machine():
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    assert grid([f"DEVICE=auto,{device}"], declared()) == [{"DEVICE": "auto"}]


def with_data():
    return declared() | {"DATA": {"inferred_type_name": "str"}}


def test_two_paths_of_one_folder_are_one_run(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "real"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(folder)
    ways = [str(folder), "real", "./real/", "link", f"{tmp_path}/link/../real"]
    wish = "DATA=" + ",".join(f"pku-reid:{way}" for way in ways)
    assert grid([wish], with_data()) == [{"DATA": f"pku-reid:{folder.resolve()}"}]
    assert "1 runs instead of 5" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["Smith, J", "a=b", 'a "b"', "a'b", "[x]", "行人, 二", "{0}"])
def test_a_list_of_json_holds_any_value(name, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    wish = f"DATA={json.dumps([f'pku-reid:{folder}'])}"
    assert grid([wish], with_data()) == [{"DATA": f"pku-reid:{folder.resolve()}"}]
    several = f"WORD={json.dumps([name, 'two'])}"
    assert grid([several], declared()) == [{"WORD": name}, {"WORD": "two"}]


def test_backslashes_of_windows_are_kept(monkeypatch):
    path = "C:\\data\\new, old"
    assert grid([f"WORD={json.dumps([path])}"], declared()) == [{"WORD": path}]
    assert grid(["WORD=C:\\data\\new"], declared()) == [{"WORD": "C:\\data\\new"}]


@pytest.mark.parametrize(
    "wish, words",
    [
        ("WORD=[red]", ["list of JSON", "-p 'NAME=["]),
        ('WORD=["C:\\data"]', ["list of JSON", "escape"]),
        ('WORD=["C:\\temp"]', ["double each backslash"]),
        ("WORD=[]", ["names no value"]),
        ("WORD=[null]", ["None", "expected words"]),
        ("WORD=[[1]]", ["[1]", "expected words"]),
        ("SEED=[1.5]", ["int", "'1.5'"]),
        ("SEED=[true]", ["int", "'True'"]),
        ("DATA=pku-reid:/data/Smith, J/x", ["no folder", 'DATA=["pku-reid:/data/Smith, J/x"]']),
        ("SEED=0,x", ["'x'", "type int, such as SEED=0"]),
    ],
)
def test_what_cannot_be_quoted_says_how_to_quote(wish, words):
    with pytest.raises(Refused) as refusal:
        grid([wish], with_data())
    assert all(word in str(refusal.value) for word in words), str(refusal.value)


def test_the_help_shows_how_to_quote(capsys):
    with pytest.raises(SystemExit):
        rerun.main(["--help"])
    assert "-p 'DATA=[\"pku-reid:/data/Smith" in capsys.readouterr().out


def test_where_a_wish_has_one_value_a_comma_is_a_comma():
    assert grid(["WORD=a, b"], declared(), several=False) == [{"WORD": "a, b"}]
    assert grid(['WORD=["a, b"]'], declared(), several=False) == [{"WORD": "a, b"}]


def test_a_value_in_quotes_is_one_value():
    assert grid(['WORD="a, b"'], declared()) == [{"WORD": "a, b"}]
    assert grid(['WORD="a"b'], declared()) == [{"WORD": '"a"b'}]


@pytest.mark.parametrize("wish", ["SEED=0,,1", "SEED=,"])
def test_a_gap_between_numbers_is_no_list_of_texts(wish):
    with pytest.raises(Refused) as refusal:
        grid([wish], declared())
    assert "JSON" not in str(refusal.value) and "SEED=0" in str(refusal.value)


def test_a_home_of_nobody_is_refused():
    wish = "DATA=pku-reid:~nobody-here/x"
    with pytest.raises(Refused, match="write the path in full"):
        grid([wish], {"DATA": {"inferred_type_name": "str"}})
    with pytest.raises(Refused, match="several values"):
        grid(["SEED=[0, 1]"], declared(), several=False)


NOT_CHAPTERS = {
    "nope.py": None,
    "script.py": "print('hello')\n",
    "empty.py": "",
    "binary.py": b"\x89PNG\xff\x00",
    "yaml.py": "# ---\n# jupyter:\n#   - [\n# ---\n",
    "keys.py": DEMO.replace('key="setup" ', ""),
    "syntax.py": DEMO.replace("score = SCALE", "score = = SCALE"),
}


@pytest.mark.parametrize("name", NOT_CHAPTERS)
def test_what_is_no_chapter_is_refused_in_one_sentence(name, tmp_path, capsys):
    path = tmp_path / name
    content = NOT_CHAPTERS[name]
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert rerun.main([str(path), "--out", str(tmp_path / "runs")]) == 2
    told = capsys.readouterr().err
    assert name in told and "source such as notebooks/source/" in told
    assert len(told.splitlines()) == 1 and not (tmp_path / "runs").exists()


def test_a_folder_with_the_name_of_a_chapter_is_refused(tmp_path, capsys):
    (tmp_path / "x.py").mkdir()
    assert rerun.main([str(tmp_path / "x.py")]) == 2
    assert "no file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, said",
    [
        (["--jobs", "0"], "from 1"),
        (["--jobs", "two"], "'two'"),
        (["--threads", "-1"], "from 1"),
        (["--threads", "1.5"], "'1.5'"),
        (["--timeout", "0"], "from 1"),
        (["--out", "FILE"], "name a folder"),
        (["--out", "FILE/in"], "name another place"),
        (["--record", "../x"], "--record is '../x'"),
        (["--record", "a/b"], "name of letters"),
        (["--record", ""], "name of letters"),
        (["--record", "."], "name of letters"),
    ],
)
def test_a_command_line_that_cannot_be_run(words, said, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    demo = write_demo(tmp_path)
    (tmp_path / "FILE").write_text("")
    words = [word.replace("FILE", str(tmp_path / "FILE")) for word in words]
    if words[1] == "":  # argparse takes it; no table is asked for
        words[1] = " "
    try:
        status = rerun.main([str(demo), *words])
    except SystemExit as ended:
        status = ended.code
    told = capsys.readouterr().err
    assert status == 2 and said in told and "Traceback" not in told
    assert not list(tmp_path.glob("*/*.json"))


def test_a_disk_that_takes_no_table_is_said_before_the_runs(tmp_path, capsys, monkeypatch):
    (tmp_path / "data").write_text("a file where a folder is expected")
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    demo = write_demo(tmp_path)
    assert rerun.main([str(demo), "--record", "x", "--out", str(tmp_path / "runs")]) == 2
    assert "name another place" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
