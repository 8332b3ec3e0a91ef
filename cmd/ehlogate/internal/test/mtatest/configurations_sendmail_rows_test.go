package mtatest_test

import "strings"

const (
	msa       = "DAEMON_OPTIONS(`Name=MSA-v4, Family=inet, Addr=" + outside + ", Port=587, M=E')dnl\n"
	mapLine   = "LOCAL_CONFIG\nKsrv_features socket -T<TMPF> -d2 inet:10041@127.0.0.1\n"
	askMap    = "R$*\t$: $(srv_features $&{client_addr} $: NONE $)\n"
	hideS     = "RS\t$# S\nR$*\t$@ OK\n"
	rulesLine = "LOCAL_SRV_FEATURES\n"
)

// ownRules hide STARTTLS from one client, whatever ehlogate says.
const (
	ownRules  = "R$*\t$: $1 $| $&{client_addr}\nR$* $| " + ownDenied + "\t$# S\nR$* $| $*\t$: $1\n"
	ownDenied = "127.0.0.88"
)

// sendmailRow is a configuration of Sendmail, in a network of its own.
type sendmailRow struct {
	name         string // one that begins with "require" has a list with that action
	features, mc string // before and behind the MAILER lines
	advice       []string
}

// sendmailRows are configurations of Sendmail as operators may have them. EXAMPLE stands for examples/sendmail/ehlogate.mc,
// RULES for those in
// the head of an exported access map, and DIR for a directory with the unix socket of ehlogate and with access maps.
var sendmailRows = []sendmailRow{
	{"example", "", "EXAMPLE", nil},
	{"example, submission", msa, "EXAMPLE", nil},
	{"example, submission on loopback", "DAEMON_OPTIONS(`Name=MSP-v4, Family=inet, Addr=127.0.0.1, Port=submission, M=Ea')dnl\n", "EXAMPLE", nil},
	{"own macros for milters", "define(`confMILTER_MACROS_CONNECT', `j, {daemon_name}')dnl\ndefine(`confTO_COMMAND', `5m')dnl\n", "EXAMPLE", nil},
	{"every port", "", mapLine + rulesLine + askMap + hideS, nil},
	{"every port, submission", msa, mapLine + rulesLine + askMap + hideS, nil},
	{"every port, submission on loopback", "DAEMON_OPTIONS(`Name=MSP-v4, Family=inet, Addr=127.0.0.1, Port=submission, M=Ea')dnl\n", mapLine + rulesLine + askMap + hideS, nil},
	{"every port, TLS from the start", "DAEMON_OPTIONS(`Name=SMTPS, Family=inet, Addr=" + outside + ", Port=465, M=s')dnl\n", mapLine + rulesLine + askMap + hideS, nil},
	{"every port, port 465 without TLS", "DAEMON_OPTIONS(`Name=SMTPS, Family=inet, Addr=" + outside + ", Port=465')dnl\n", mapLine + rulesLine + askMap + hideS, nil},
	{"by name", msa, mapLine + rulesLine + "R$*\t$: $&{daemon_name}\nRMSA-v4\t$@ OK\n" + askMap + hideS, nil},
	{"by name, inverted", msa, mapLine + rulesLine + "R$*\t$: $&{daemon_name}\nRMTA\t$@ OK\nRMTA6\t$@ OK\n" + askMap + hideS, nil},
	{"by name, of another", msa, mapLine + rulesLine + "R$*\t$: $&{daemon_name}\nRMSA\t$@ OK\n" + askMap + hideS, nil},
	{"by flags", msa, mapLine + rulesLine + "R$*\t$: $&{daemon_flags}\nREE $*\t$@ OK\n" + askMap + hideS, nil},
	{"a comment names daemon_name", msa, mapLine + rulesLine + "# R$* $&{daemon_name}\n" + askMap + hideS, nil},
	{"another ruleset knows the daemon", msa, mapLine + rulesLine + askMap + hideS + "SLocal_check_relay\nR$*\t$: $1 $| $&{daemon_name}\nR$* $| MSA-v4\t$@ OK\nR$* $| $*\t$: $1\n", nil},
	{"own rules before", "", mapLine + rulesLine + "R$*\t$: $1 $| $&{client_name}\nR$* $| localhost\t$@ OK\nR$* $| $*\t$: $1\n" + askMap + hideS, nil},
	{"no -d", "", strings.Replace(mapLine, " -d2", "", 1) + rulesLine + askMap + hideS, nil},
	{"-d9", "", strings.Replace(mapLine, " -d2", " -d9", 1) + rulesLine + askMap + hideS, nil},
	{"no -T", "", strings.Replace(mapLine, " -T<TMPF>", "", 1) + rulesLine + askMap + hideS, nil},
	{"-t", "", strings.Replace(mapLine, " -T<TMPF>", " -t", 1) + rulesLine + askMap + hideS, nil},
	{"-t and a mark that hides", "", strings.Replace(mapLine, " -T<TMPF>", " -t -T<TMPF>", 1) + rulesLine + askMap + "RNONE\t$@ OK\nR$*\t$# S\n", nil},
	{"an access map", "FEATURE(`access_db', `hash -T<TMPF> DIR/access')dnl\n", "EXAMPLE", nil},
	{"an access map that is exported", "FEATURE(`access_db', `hash -T<TMPF> DIR/exported')dnl\n" + msa, "RULES", nil},
	{"own rules, submission", msa, mapLine + rulesLine + ownRules + askMap + hideS, nil},
	{"-o", "", strings.Replace(mapLine, " -T<TMPF>", " -o", 1) + rulesLine + askMap + hideS, nil},
	{"another name of the map", "", "LOCAL_CONFIG\nKgate socket -T<TMPF> -d2 inet:10041@127.0.0.1\n" + rulesLine + "R$*\t$: $(gate $&{client_addr} $: NONE $)\n" + hideS, nil},
	{"another protocol", "", strings.Replace(mapLine, "10041", "10042", 1) + rulesLine + askMap + hideS, nil},
	{"a map and no rules", "", mapLine, nil},
	{"rules that ignore the answer", "", mapLine + rulesLine + askMap + "R$*\t$@ OK\n", nil},
	{"rules with the wrong letter", "", mapLine + rulesLine + askMap + "RS\t$# s\nR$*\t$@ OK\n", nil},
	{"any answer hides", "", mapLine + rulesLine + "R$*\t$: $(srv_features $&{client_addr} $: NONE $)\nRNONE\t$@ OK\nR$*\t$# S\n", nil},
	{"a failure refuses", "", mapLine + rulesLine + askMap + "RS\t$# S\nR$* < TMPF >\t$# temp\nR$*\t$@ OK\n", nil},
	{"rules that hide from all", "", mapLine + rulesLine + askMap + "R$*\t$# S\n", nil},
	{"unix socket", "", "LOCAL_CONFIG\nKsrv_features socket -T<TMPF> -d2 local:DIR/map\n" + rulesLine + askMap + hideS, []string{"sendmail-local-socket"}},
	{"no STARTTLS for submission", strings.Replace(msa, "M=E", "M=ES", 1), mapLine + rulesLine + askMap + hideS, nil},
	{"nothing", msa, "", nil},
	{"milter", "", "EXAMPLE" + "INPUT_MAIL_FILTER(`ehlogate', `S=inet:10044@127.0.0.1, T=C:2s;S:2s;R:2s')dnl\n", nil},
	{"milter that refuses", "", "EXAMPLE" + "INPUT_MAIL_FILTER(`ehlogate', `S=inet:10044@127.0.0.1, F=T, T=C:2s;S:2s;R:2s')dnl\n", nil},
	{"milter without times", "", "EXAMPLE" + "INPUT_MAIL_FILTER(`ehlogate', `S=inet:10044@127.0.0.1')dnl\n", nil},
	{"milter that is defined and not used", "", "EXAMPLE" + "MAIL_FILTER(`ehlogate', `S=inet:10044@127.0.0.1, F=T')dnl\n", nil},
	{"the address in brackets", "", strings.Replace(mapLine, "127.0.0.1", "[127.0.0.1]", 1) + rulesLine + askMap + hideS, nil},
	{"tabs between the flags", "", "LOCAL_CONFIG\nKsrv_features\tsocket\t-T<TMPF>\t-d2\tinet:10041@127.0.0.1\n" + rulesLine + askMap + hideS, nil},
	{"the address by name", "", strings.Replace(mapLine, "127.0.0.1", "localhost", 1) + rulesLine + askMap + hideS, nil},
	{"a sequence of maps", "", mapLine + "Kown text -o /nonexistent\nKboth sequence srv_features\n" + rulesLine + strings.Replace(askMap, "(srv_features", "(both", 1) + hideS, nil},
	{"another feature beside it", "", mapLine + rulesLine + askMap + "RS\t$# V S\nR$*\t$@ OK\n", nil},
	{"by port", msa, mapLine + rulesLine + "R$*\t$: $&{daemon_port}\nR587\t$@ OK\n" + askMap + hideS, nil},
	{"by interface, submission", msa, mapLine + rulesLine + "R$*\t$: $&{if_addr}\nR198.51.100.1\t$@ OK\n" + askMap + hideS, nil},
	{"by interface", "", mapLine + rulesLine + "R$*\t$: $&{if_addr}\nR198.51.100.1\t$@ OK\n" + askMap + hideS, nil},
	{"daemons without names", "", mapLine + "O DaemonPortOptions=Port=2526, Addr=127.0.0.1\nO DaemonPortOptions=Port=2527, Addr=127.0.0.1, M=Ea\n" + rulesLine + askMap + hideS, nil},
	{"require, and nothing enforces it", "", "EXAMPLE", nil},
	{"require, by the milter", "", "EXAMPLE" + "INPUT_MAIL_FILTER(`ehlogate', `S=inet:10044@127.0.0.1, T=C:2s;S:2s;R:2s')dnl\n", nil},
}
