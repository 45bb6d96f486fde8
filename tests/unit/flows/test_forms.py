"""Parameters of flows: a service belongs to its organization, and a token is shown nowhere."""

import pytest
from pydantic import BaseModel, ValidationError

from flows.forms import (
    ApproveForm,
    LoadTestForm,
    ReleaseForm,
    RollbackForm,
    TrainedForm,
    ValidateForm,
    reveal,
)
from tidegate.domain import Secret

TOKEN = "tg1.k1.claims-of-somebody.signature-of-somebody"
SUPPORT = {"org": "swaggystacks", "service": "support-chat"}
FORMS: list[tuple[type[BaseModel], dict[str, object]]] = [
    (ReleaseForm, {"model": "pipit"}),
    (RollbackForm, {"reason": "wrong prices"}),
    (TrainedForm, {"model": "pipit", "version": "v2", "path": "/x"}),
    (ValidateForm, {"paths": ["/x"]}),
    (LoadTestForm, {"slo": "ttft=500"}),
]
SIGNED = FORMS[:3]
LOOK = {**SUPPORT, "decision": "look"}
YES = {**SUPPORT, "decision": "approve", "of": "0f.12", "reason": "checked", "approved_by": "noor"}


@pytest.mark.parametrize(("form", "rest"), FORMS)
def test_a_service_of_another_organization_is_refused_by_its_field(form: type[BaseModel], rest: dict):
    form.model_validate({**SUPPORT, **rest})
    with pytest.raises(ValidationError) as caught:
        form.model_validate({"org": "scientiacapital", "service": "support-chat", **rest})
    (problem,) = caught.value.errors()
    assert problem["loc"] == ("service",)
    assert "scientiacapital has no service 'support-chat'; use one of: research-desk" in problem["msg"]


@pytest.mark.parametrize(("form", "rest"), SIGNED)
def test_no_text_form_of_a_form_shows_its_token(form: type[BaseModel], rest: dict):
    filled = form.model_validate({**SUPPORT, **rest, "token": TOKEN})
    assert reveal(filled.token) == Secret(TOKEN)  # type: ignore[attr-defined]
    for text in (repr(filled), str(filled), filled.model_dump_json(), f"{filled}", repr(filled.model_dump())):
        assert "claims-of-somebody" not in text


@pytest.mark.parametrize(("form", "rest"), SIGNED)
def test_the_error_of_another_field_does_not_show_the_token(form: type[BaseModel], rest: dict):
    with pytest.raises(ValidationError) as caught:
        form.model_validate({**SUPPORT, **rest, "service": "research-desk", "token": TOKEN})
    assert "claims-of-somebody" not in str(caught.value)


@pytest.mark.parametrize(("form", "_"), SIGNED)
def test_the_token_is_a_password_field_that_may_stay_empty(form: type[BaseModel], _: dict):
    schema = form.model_json_schema()
    shown = schema["properties"]["token"]
    assert (shown["type"], shown["format"], shown["writeOnly"], shown["default"]) == (
        "string",
        "password",
        True,
        "",
    )
    assert "token" not in schema["required"]


def test_the_request_of_a_form_holds_no_token():
    filled = ReleaseForm.model_validate({**SUPPORT, "model": "pipit", "token": TOKEN})
    assert "claims-of-somebody" not in filled.to_request().model_dump_json()


def test_an_empty_token_is_none():
    assert reveal(ReleaseForm.model_validate({**SUPPORT, "model": "pipit"}).token) is None


def test_limits_of_a_load_test_are_checked_in_the_form():
    assert LoadTestForm.model_validate({**SUPPORT, "slo": " ttft=500 "}).to_load().slo == "ttft=500"
    with pytest.raises(ValidationError) as caught:
        LoadTestForm.model_validate({**SUPPORT, "slo": "quick"})
    (problem,) = caught.value.errors()
    assert problem["loc"] == ("slo",)
    assert "NAME=MILLISECONDS" in problem["msg"]


def test_looking_at_a_question_needs_nothing_more_and_a_yes_needs_what_it_binds_to():
    ApproveForm.model_validate(LOOK)
    ApproveForm.model_validate(YES)
    ApproveForm.model_validate({**YES, "approved_by": "", "token": TOKEN})
    for missing in ("of", "reason", "approved_by"):
        with pytest.raises(ValidationError, match="to approve, fill in") as caught:
            ApproveForm.model_validate({**YES, missing: " "})
        assert "claims-of-somebody" not in str(caught.value)


def test_a_form_that_only_wants_the_plan_makes_the_same_request():
    form = ReleaseForm.model_validate(
        {**SUPPORT, "model": "pipit", "plan_only": True, "plan_digest": "0f.12"}
    )
    request = form.to_request()
    assert request.plan_digest == "0f.12"
    assert ReleaseForm.model_validate(request.model_dump(mode="json")).plan_only is False
