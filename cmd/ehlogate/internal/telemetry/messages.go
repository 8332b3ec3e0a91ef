package telemetry

import (
	"cmp"

	"ehlogate/lists"
	"ehlogate/milter"
	"ehlogate/policyd"
)

// FaultPanic is the reason of a fault inside the daemon, a label value of ehlogate_protocol_errors_total.
const FaultPanic = "panic"

// FaultHost is the reason of an HTTP request for an unknown host name.
const FaultHost = "host"

const (
	msgSuppressed = "STARTTLS suppressed"
	msgHidden     = "EHLO keywords hidden"
	msgWouldHide  = "observed: EHLO keywords would be hidden"
)

func observedMessage(v lists.Verdict) string {
	switch {
	case v.Overridden:
		return "suppression overridden by [guard]: a domain served here may have published MTA-STS or DANE"
	case v.Action == lists.Suppress:
		return "observed: STARTTLS would be suppressed"
	case v.Action == lists.Require:
		return "observed: TLS would be required"
	case v.Action == lists.Legacy:
		return "observed: old versions of TLS would be allowed"
	}
	return "observed: STARTTLS would be offered by this list"
}

// faultMessages are the log messages for faults: what happened, what the daemon did, and what the operator can do.
var faultMessages = map[string]string{
	policyd.FaultKey:                 "invalid key in request; answered with offer",
	policyd.FaultMap:                 "unknown map in request; answered with offer; check key_format or the map name in the mail server",
	policyd.FaultCommand:             "unknown command in request; answered with an error; check that the mail server speaks the protocol of this socket",
	policyd.FaultMalformed:           "malformed request; connection closed; check that the mail server speaks the protocol of this socket",
	policyd.FaultOversize:            "oversized request; connection closed; check that the mail server speaks the protocol of this socket",
	policyd.FaultTruncated:           "truncated request; the mail server closed the connection within it",
	policyd.FaultTimeout:             "timeout: the mail server did not finish a request, or did not read a reply; connection closed",
	lists.OutcomeSubmission.String(): "STARTTLS suppressed for a client that submits mail: its password is sent in the clear; use the map only in the smtpd on port 25",
	milter.FaultMacros:               "milter cannot enforce action \"require\": the mail server does not send the macros {client_port} and {tls_version} at MAIL (Postfix 2.5 and Sendmail 8.14 do)",
	FaultHost:                        "HTTP request for an unknown host name; refused; to allow the name, write it into hosts = [...] in [http]",
	"accept":                         "cannot accept connections; trying again",
	"evicted":                        "connection limit reached; closed the connection that was idle longest; raise max_connections in [listen]",
	"refused":                        "connection limit reached; refused a new connection; raise max_connections in [listen]",
	FaultPanic:                       "internal error (panic); answered with offer, or closed the connection; please report the stack trace",
}

// The reasons that several protocols have.
var (
	serverFaults  = []string{"accept", "evicted", "refused", FaultPanic}
	frameFaults   = append([]string{policyd.FaultOversize, policyd.FaultTruncated, policyd.FaultTimeout}, serverFaults...)
	requestFaults = append([]string{policyd.FaultKey}, frameFaults...)
)

// protocolFaults are the reasons of the faults that each protocol can have. Their counters begin with 0, since a rate
// does not see the first fault of a counter that appears with it.
var protocolFaults = map[string][]string{
	"memcache":  append([]string{policyd.FaultMap, policyd.FaultCommand, policyd.FaultMalformed}, requestFaults...),
	"socketmap": append([]string{policyd.FaultMap, policyd.FaultMalformed}, requestFaults...),
	"tcp_table": append([]string{policyd.FaultCommand}, requestFaults...),
	"policy":    append([]string{policyd.FaultMalformed, lists.OutcomeSubmission.String()}, requestFaults...),
	"milter":    append([]string{milter.FaultMacros, policyd.FaultMalformed, lists.OutcomeSubmission.String()}, frameFaults...),
	"http":      append([]string{FaultHost}, serverFaults...),
	"unknown":   serverFaults,
}

func faultMessage(reason string) string {
	return cmp.Or(faultMessages[reason], "fault; answered with offer, or closed the connection")
}
