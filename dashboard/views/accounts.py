"""Accounts: who may sign in, and as what. For admins."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from medfuse.errors import MedfuseError
from medfuse.review.access import SHORTEST, Accounts
from medfuse.review.desk import Desk
from medfuse.review.roles import PERMISSIONS, Account, Visitor
from medfuse.review.texts import Texts
from medfuse.review.wording import markdown_plain

desk: Desk = st.session_state["desk"]
t: Texts = st.session_state["texts"]
visitor: Visitor = st.session_state["visitor"]
accounts = Accounts(desk.store.database)
ROLES = list(PERMISSIONS)


def done(change: Callable[[], None]) -> None:
    """Change something, and say that it was; who may not, or asks for what is not valid, is told so."""
    try:
        visitor.require("accounts")
        change()
    except MedfuseError as error:
        st.error(markdown_plain(t.said(error)), icon=":material/error:")
        return
    st.session_state["account-told"] = t("account_changed")
    st.session_state["accounts-changed"] = turn() + 1
    st.rerun()


def turn() -> int:
    """How many changes were stored: forms of the next turn are empty, and one that was refused keeps what it holds."""
    return int(st.session_state.get("accounts-changed", 0))


def role_name(role: str) -> str:
    return t(f"role_{role}")


def make() -> None:
    with st.form(f"new-account-{turn()}", border=True):
        name = st.text_input(t("signin_name"), max_chars=200)
        role = st.selectbox(t("account_role"), ROLES, format_func=role_name)
        password = st.text_input(t("signin_password"), type="password", help=t("account_password_help", count=SHORTEST))
        subject = st.text_input(t("account_subject"), max_chars=400, help=t("account_subject_help"))
        asked = st.form_submit_button(t("account_make"), type="primary", icon=":material/person_add:")
    if asked:
        account = Account(name.strip(), role, subject=subject.strip())
        done(lambda: accounts.add(account, password=password, actor=visitor.name))


def change(held: list[Account]) -> None:
    names = {one.name: one for one in held}
    with st.form(f"change-account-{turn()}", border=True):
        name = st.selectbox(t("signin_name"), list(names))
        role = st.selectbox(
            t("account_role"), ["", *ROLES], format_func=lambda one: role_name(one) if one else t("as_it_is")
        )
        password = st.text_input(
            t("account_new_password"), type="password", help=t("account_password_help", count=SHORTEST)
        )
        states = {"": t("as_it_is"), "on": t("account_on"), "off": t("account_off")}
        state = st.selectbox(t("state"), list(states), format_func=states.get)
        asked = st.form_submit_button(t("account_change"), icon=":material/manage_accounts:")
    if asked:
        disabled = {"on": False, "off": True}.get(state)
        done(
            lambda: accounts.change(
                name, actor=visitor.name, role=role or None, password=password or None, disabled=disabled
            )
        )


st.title(t("accounts"))
if told := st.session_state.pop("account-told", ""):
    st.success(told, icon=":material/check:")
try:
    visitor.require("accounts")
    held = list(accounts.all())
    by_password = set(accounts.can_sign_in(openid=False))
except MedfuseError as error:
    st.error(markdown_plain(t.said(error)), icon=":material/error:")
    st.stop()
rows = [
    {
        t("signin_name"): one.name,
        t("account_role"): role_name(one.role),
        t("account_by"): ", ".join(
            [*([t("signin_password")] if one.name in by_password else []), *filter(None, [one.subject])]
        ),
        t("state"): t("account_off") if one.disabled else t("account_on"),
    }
    for one in held
]
st.dataframe(rows, hide_index=True, width="stretch", height="content")
left, right = st.columns(2, gap="large")
with left:
    st.subheader(t("account_make"))
    make()
with right:
    st.subheader(t("account_change"))
    change(held)
