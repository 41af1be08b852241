"""Two recordings of command lines are the same, or each difference is shown."""

from __future__ import annotations

import same_output


def recording(folder, **files):
    """A recording of one command line, `archstat list`."""
    case = folder / "archstat_list"
    case.mkdir(parents=True)
    for name, text in {"command": "archstat list\n", **files}.items():
        (case / name).write_bytes(text.encode())
    return folder


def compared(tmp_path, before, after):
    """The exit code for two recordings with these files."""
    folders = recording(tmp_path / "one", **before), recording(tmp_path / "two", **after)
    return same_output.main(["compare", *map(str, folders)])


def test_equal_recordings_show_no_difference(tmp_path, capsys):
    same = {"stdout": "a\nb\n", "exit_code": "0\n"}
    assert compared(tmp_path, same, same) == 0
    assert capsys.readouterr().out == "no difference\n"


def test_changed_line_is_shown_as_a_unified_diff(tmp_path, capsys):
    assert compared(tmp_path, {"stdout": "a\nb\n"}, {"stdout": "a\nc\n"}) == 1
    shown = capsys.readouterr().out.split("\n")
    assert shown[:2] == ["--- before/archstat_list/stdout", "+++ after/archstat_list/stdout"]
    assert shown[3:] == [" a", "-b", "+c", "1 of 2 files differ", ""]


def test_changed_exit_code_is_a_difference(tmp_path):
    assert compared(tmp_path, {"exit_code": "0\n"}, {"exit_code": "2\n"}) == 1


def test_changed_line_end_is_a_difference(tmp_path, capsys):
    assert compared(tmp_path, {"stdout": "a\r\n"}, {"stdout": "a\n"}) == 1
    assert "differ" in capsys.readouterr().out


def test_file_of_only_one_recording_is_a_difference(tmp_path, capsys):
    assert compared(tmp_path, {}, {"rows.csv": "model\n"}) == 1
    assert "--- missing\n+++ after/archstat_list/rows.csv" in capsys.readouterr().out


def test_empty_file_of_only_one_recording_is_a_difference(tmp_path):
    assert compared(tmp_path, {"rows.csv": ""}, {}) == 1


def test_folder_without_a_recording_is_refused(tmp_path, capsys):
    recording(tmp_path / "one")
    assert same_output.main(["compare", str(tmp_path / "one"), str(tmp_path / "none")]) == 2
    assert "is no recording" in capsys.readouterr().err


def test_folder_with_files_is_not_recorded_into(tmp_path, capsys):
    assert same_output.main(["record", str(recording(tmp_path))]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_command_lines_have_folders_of_their_own():
    names = [same_output.name_of(line) for lines in same_output.sequences() for line in lines]
    assert len(names) == len(set(names)) >= 150
