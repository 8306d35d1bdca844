"""Which of Meteor's own test cases is checked where.

The numbers, and what each case is, are those of the project's list of Meteor's tests (its
packages ``ddp-server``, ``ddp-client``, ``ejson``, ``ddp-rate-limiter``, ``socket-stream-client``
and ``accounts-base``). "–" says why a case does not apply, "later" what is missing for it.

==  =============================================================================================
1   shared/rpc/test_server.py::test_the_end_of_a_session_cancels_its_methods_and_calls_back
2   shared/rpc/test_server.py::test_the_end_of_a_session_cancels_its_methods_and_calls_back
3   conformance/test_sessions.py::test_3_a_method_closes_its_connection
4   shared/rpc/test_session.py::test_4_connection_hooks_can_be_removed
5   shared/rpc/test_session.py::test_5_message_hooks_see_texts_as_they_came
6   conformance/test_methods.py::test_6_the_connection_of_a_method
7   – a method is a function: another one calls it with its own context
8   shared/rpc/test_publications.py::test_8_102_a_publisher_knows_its_session
9   – see 7
10  conformance/test_publications.py::test_10_a_publisher_knows_the_user
11  conformance/test_publications.py::test_11_12_a_slow_publisher_holds_the_queue
12  conformance/test_publications.py::test_11_12_a_slow_publisher_holds_the_queue
13  – publishers publish documents, not cursors
14  – what is called when a subscription ends is a plain function, and can't wait
15  – see 14
16  – the strategies of a server are fixed
17  – there is no crossbar; Write.committed is idempotent, see 44
17a conformance/test_resumption.py::test_an_unexpected_drop_keeps_the_session
17b conformance/test_resumption.py::test_a_replacement_takes_over_from_a_socket_that_is_still_open
17c conformance/test_resumption.py::test_what_was_sent_and_lost_is_sent_again
17d conformance/test_resumption.py::test_the_tail_survives_another_drop
17e conformance/test_resumption.py::test_a_session_without_a_count_begins_anew_and_retires_the_old_one
17f conformance/test_resumption.py::test_zero_grace_disables_it
17g conformance/test_resumption.py::test_what_is_kept_is_bounded
17h conformance/test_resumption.py::test_too_much_for_an_absent_client_ends_its_session
17i conformance/test_resumption.py::test_a_disconnect_ends_it_at_once
17j conformance/test_resumption.py::test_what_the_server_closes_is_gone
17k conformance/test_resumption.py::test_on_connection_is_not_called_on_a_resume
17l conformance/test_resumption.py::test_a_count_that_does_not_fit_begins_anew
17m conformance/test_resumption.py::test_a_close_in_the_grace_period_removes_it
17n conformance/test_resumption.py::test_a_close_in_the_grace_period_removes_it
17o conformance/test_resumption.py::test_what_waits_in_the_grace_period_is_delivered_in_order
17p conformance/test_resumption.py::test_nobody_comes_back_in_time
18  shared/rpc/ddp/test_merge_box.py::test_18_document_stays_while_another_has_it
19  shared/rpc/ddp/test_merge_box.py::test_19_34_second_field_from_another
20  shared/rpc/ddp/test_merge_box.py::test_20_25_field_reveal
21  shared/rpc/ddp/test_merge_box.py::test_21_change_of_the_canonical_field
22  shared/rpc/ddp/test_merge_box.py::test_22_clear_the_canonical_field
23  shared/rpc/ddp/test_merge_box.py::test_23_change_makes_a_new_field
24  shared/rpc/ddp/test_merge_box.py::test_24_add_remove_add_again
25  shared/rpc/ddp/test_merge_box.py::test_20_25_field_reveal
26  shared/rpc/ddp/test_merge_box.py::test_26_27_equal_values_are_silent
27  shared/rpc/ddp/test_merge_box.py::test_26_27_equal_values_are_silent
28  shared/rpc/ddp/test_merge_box.py::test_28_clear_in_all_is_sent_once
29  shared/rpc/ddp/test_merge_box.py::test_29_same_change_in_all_is_sent_once
30  shared/rpc/ddp/test_merge_box.py::test_30_several_operations_in_one_change
31  shared/rpc/ddp/test_merge_box.py::test_31_documents_are_independent
32  shared/rpc/ddp/test_merge_box.py::test_32_several_documents_are_removed
33  shared/rpc/ddp/test_merge_box.py::test_33_any_sequence_leaves_the_client_with_the_union
34  shared/rpc/ddp/test_merge_box.py::test_19_34_second_field_from_another
35  shared/rpc/ddp/test_merge_box.py::test_35_odd_field_names
36  shared/rpc/ddp/test_merge_box.py::test_36_clearing_a_field_that_was_never_set
37  conformance/test_methods.py::test_37_errors_survive_the_wire
38  conformance/test_sessions.py::test_38_failed
39  shared/rpc/test_server.py::test_39_what_is_no_function_is_refused
40  conformance/test_methods.py::test_40_an_unknown_method
41  conformance/test_methods.py::test_41_an_undefined_result_is_none
42  conformance/test_methods.py::test_42_what_is_echoed_comes_back_as_it_was
43  conformance/test_methods.py::test_43_other_exceptions_show_nothing_of_themselves
44  conformance/test_methods.py::test_the_write_fence_spans_every_session
45  conformance/test_methods.py::test_45_set_user_sends_only_the_difference
46  – there is no call without a session
47  conformance/test_publications.py::test_47_the_same_document_from_two_subscriptions
48  shared/rpc/test_publications.py::test_48_49_every_session_gets_a_universal_publication
49  shared/rpc/test_publications.py::test_48_49_every_session_gets_a_universal_publication
50  shared/rpc/test_publications.py::test_set_user_id_reruns_the_subscriptions_and_sends_the_difference
51  conformance/test_publications.py::test_51_an_end_takes_its_documents_back_first
52  conformance/test_publications.py::test_51_52_a_broken_publisher
53  shared/rpc/ddp/test_merge_box.py::test_53_values_are_cloned
54  shared/rpc/test_methods.py::test_54_a_result_is_written_at_once
55  shared/rpc/test_keeper.py::test_95_the_status_tells_of_every_attempt
56  shared/rpc/ddp/test_client.py::test_documents
57  – the client buffers no writes: it has no views to redraw
58  conformance/test_publications.py::test_58_a_sub_id_that_is_alive_is_ignored
59  shared/rpc/ddp/test_client.py::test_updated_may_come_before_after_or_never
60  shared/rpc/test_client_resumption.py::test_60_calls_may_wait_for_a_connection
61  shared/rpc/ddp/test_client_resumption.py::test_61_a_new_session_gets_the_calls_that_may_be_sent_again
62  shared/rpc/test_client_resumption.py::test_62_only_what_may_be_repeated_is_called_on_a_new_session
63  shared/rpc/ddp/test_client_resumption.py::test_63_a_call_with_a_result_is_not_sent_again
64  shared/rpc/ddp/test_client_resumption.py::test_64_a_call_with_only_updated_is_sent_again
65  shared/rpc/ddp/test_client_quiescence.py::test_65_calls_that_were_not_sent_are_not_waited_for
66  shared/rpc/ddp/test_client_resumption.py::test_66_wait_calls_run_alone
67  shared/rpc/ddp/test_client_resumption.py::test_67_the_calls_of_a_login_come_before_all_others
68  shared/rpc/ddp/test_client.py::test_pings
69  shared/rpc/ddp/test_client.py::test_69_a_session_of_pre1_has_no_pings
70  shared/rpc/ddp/test_client_quiescence.py::test_70_a_new_session_shows_no_empty_moment
71  shared/rpc/test_client.py::test_71_renegotiates_after_failed
72  shared/rpc/test_client.py::test_72_gives_up_when_no_version_is_shared
73  shared/rpc/ddp/test_client_resumption.py::test_73_a_login_comes_before_what_is_sent_again
74  shared/rpc/test_client.py::test_a_refused_subscription
75  shared/rpc/ddp/test_client_quiescence.py::test_75_a_call_between_a_reset_and_quiescence
76  conformance/test_publications.py::test_76_an_unsub_waits_for_its_publisher
77  shared/rpc/test_client.py::test_77_a_call_is_what_it_was_when_it_was_made
78  – the client simulates no methods
79  – the order of keys is no part of a value in Python
80  shared/rpc/test_ejson.py::test_escape_holds_for_one_level_only
81  shared/rpc/test_ejson.py::test_equality
82  shared/rpc/test_ejson.py::test_clone_shares_nothing_that_can_change
83  – values are written for programs: compact, in their own order
84  shared/rpc/test_ejson.py::test_refuses_nonsense
85  shared/rpc/test_ejson.py::test_regexp_flags_are_cleaned
86  shared/rpc/test_ejson.py::test_writes_and_reads_each_form
87  – dicts have no length of their own making
88  shared/rpc/test_rate_limit.py::test_88_so_many_pass_and_no_more
89  shared/rpc/test_rate_limit.py::test_89_a_window_begins_with_its_first_call
90  shared/rpc/test_rate_limit.py::test_90_matchers_are_given_the_value
91  shared/rpc/test_rate_limit.py::test_91_each_value_is_counted_apart
92  shared/rpc/test_session.py::test_too_many_requests_on_the_wire
93  shared/rpc/test_rate_limit.py::test_93_messages_of_ones_own
94  shared/rpc/test_rate_limit.py::test_94_rules_can_be_removed
95  shared/rpc/test_keeper.py::test_95_the_status_tells_of_every_attempt
96  shared/rpc/test_keeper.py::test_96_a_drop_ends_in_a_new_connection
97  shared/rpc/test_client_resumption.py::test_97_a_client_that_disconnects_stays_offline
98  conformance/test_sockjs.py::test_98_every_transport_carries_the_same_texts
99  conformance/test_sessions.py::test_99_where_it_listens
100 shared/rpc/test_login.py::test_100_a_login_comes_first_on_each_session
101 shared/rpc/test_login.py::test_101_the_server_knows_the_user_before_what_is_sent_again
102 shared/rpc/test_publications.py::test_8_102_a_publisher_knows_its_session
103 conformance/test_methods.py::test_103_ids_from_a_seed
104 conformance/test_sessions.py::test_104_a_silent_client_is_closed
==  =============================================================================================

Of the cases that Meteor does not have: names of
``Object.prototype``, an ill-typed unsub, an id used twice, bad EJSON and an oversized message are
in this folder, a slow reader and broken frames in ``shared/rpc``; a half-open socket: 104, and for the client
shared/rpc/test_client.py::test_104_a_server_that_falls_silent_is_left.
"""

import ast
import re

from tests.support.paths import ROOT

_ROW = re.compile(r"^(\d+[a-p]?) +(.+)$", re.MULTILINE)


def test_every_case_is_in_the_table_and_every_test_exists() -> None:
    rows = _ROW.findall(__doc__ or "")
    resumption = [f"17{letter}" for letter in "abcdefghijklmnop"]
    expected = [str(number) for number in range(1, 105)]
    expected[17:17] = resumption
    assert [number for number, _ in rows] == expected
    where = [place for _, place in rows if not place.startswith(("– ", "later: "))]
    assert len(where) > 70
    missing = [place for place in where if not _exists(*place.split("::"))]
    assert missing == []


def _exists(file: str, name: str) -> bool:
    tree = ast.parse((ROOT / "tests" / file).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return any(isinstance(node, functions) and node.name == name for node in tree.body)
