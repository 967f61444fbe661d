"""config/README.md says what the schemas say."""

import importlib.util


def test_the_manual_is_up_to_date(repository):
    spec = importlib.util.spec_from_file_location("manual", repository / "docs" / "manual.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.MANUAL.read_text(encoding="utf-8")
    assert module.manual(text) == text, "run `make manual`"
    assert text.count("| `") > 50
