"""Who is reading: signed in, or a name in the sidebar where no login is asked for; and in which study."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from medfuse.errors import MedfuseError
from medfuse.review.access import Accounts
from medfuse.review.desk import Desk
from medfuse.review.roles import AccessError, Visitor
from medfuse.review.signin import token_in
from medfuse.review.study import studies
from medfuse.review.texts import Texts
from medfuse.review.wording import markdown_plain

CHECK_SECONDS = 20  # how often a page that nobody touches looks whether it still may be shown


def named(head: DeltaGenerator, t: Texts) -> Visitor:
    """Whoever sits at this machine says in `head` who it is."""
    head.text_input(
        t("reader"), key="reader", placeholder=t("reader_placeholder"), max_chars=200, help=t("reader_help"),
        bind="query-params",
    )  # fmt: skip
    return Visitor(st.session_state["reader"].strip())


def signed_in(desk: Desk, head: DeltaGenerator, *, openid: bool, t: Texts) -> Visitor:
    """Who signed in, told in `head`; without a session that is open, the page ends here."""
    accounts = Accounts(desk.store.database)
    token, account, fault = "", None, ""
    try:
        token = token_in(st.context.cookies)
        account = accounts.of_token(token) if token else None
        if account is None and openid and st.user.is_logged_in:
            token = accounts.sign_in_with(st.user.to_dict())
            account = accounts.of_token(token)
    except AccessError as error:
        fault = t.said(error)
    except MedfuseError as error:
        st.error(markdown_plain(t.said(error)), icon=":material/error:")
        st.stop()
    if account is None:
        st.session_state.clear()  # nothing of a session outlives it
        st.title(t("signin"))
        st.info(markdown_plain(fault) if fault else t("session_over"), icon=":material/lock:")
        st.button(t("signin_again"), on_click=st.logout, type="primary", icon=":material/login:")
        st.stop()
    with head:
        st.markdown(f"**{markdown_plain(account.name)}** · {t('role_' + account.role)}")
        st.button(t("sign_out"), on_click=_leave, args=(accounts, token), icon=":material/logout:", width="stretch")
        _look(accounts, token)
    return Visitor(account.name, account)


def _leave(accounts: Accounts, token: str) -> None:
    accounts.sign_out(token)
    st.session_state.clear()
    st.logout()


@st.fragment(run_every=CHECK_SECONDS)
def _look(accounts: Accounts, token: str) -> None:
    """Ends a page that was left alone: what it shows is of patients."""
    if accounts.of_token(token, used=False) is None:
        st.rerun()


def choose_study(desk: Desk, visitor: Visitor, t: Texts) -> None:
    """How far the reader is, and the study that is read."""
    if visitor.may("read"):
        done = desk.store.progress().by_reader.get(visitor.name, 0)
        st.caption(t("reviewed_of", done=done, count=len(desk.predictions)))
    mine = [name for name, one in studies(desk.store).items() if visitor.name in (*one.readers, one.arbiter)]
    asked = st.query_params.get("study", "")
    if mine:
        which = st.selectbox(
            t("study"), ["", *mine], index=[*["", *mine]].index(asked) if asked in mine else 0,
            format_func=lambda one: one or t("no_study"), help=t("study_help"),
        )  # fmt: skip
        if which != asked:
            st.query_params["study"] = which
            st.query_params.pop("case", None)
            st.rerun()
    elif asked:
        del st.query_params["study"]
