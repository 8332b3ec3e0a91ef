package policyd

import (
	"slices"
	"strings"

	"ehlogate/lists"
)

// Values are what a map answers: lists of EHLO keywords for the mail server to hide, separated by ", " as in
// smtpd_discard_ehlo_keyword_address_maps of postconf(5). A value of the map replaces smtpd_discard_ehlo_keywords, so each
// repeats the keywords of that setting.
type Values struct {
	// Suppress is the value for a client from which STARTTLS is hidden, and nothing else.
	Suppress string
	// Offer is the value for a client from which nothing is hidden; "" means that the map has no entry for the client.
	Offer string

	always [2]always // by lists.Service
}

// always is what a mail server hides from all clients of a service.
type always struct {
	text  string
	known lists.Keywords // those of text that lists can hide
	offer string
}

// NewValues returns the values for a mail server that hides the keywords alwaysHide from all clients; on submission it does
// not hide AUTH, which only a list can do there. With explicitOffer, Offer is never "".
func NewValues(alwaysHide []string, explicitOffer bool) *Values {
	v := &Values{Suppress: joinKeywords(alwaysHide, "starttls")}
	v.always[lists.SMTP] = newAlways(alwaysHide, explicitOffer)
	v.always[lists.Submission] = newAlways(slices.DeleteFunc(slices.Clone(alwaysHide),
		func(k string) bool { return strings.EqualFold(k, "auth") }), explicitOffer)
	v.Offer = v.always[lists.SMTP].offer
	return v
}

func newAlways(keywords []string, explicitOffer bool) always {
	a := always{text: joinKeywords(keywords)}
	if explicitOffer {
		a.offer = joinKeywords(keywords, "silent-discard")
	}
	for _, k := range keywords {
		if known, err := lists.ParseKeyword(k); err == nil {
			a.known |= known
		}
	}
	return a
}

const separator = ", "

func joinKeywords(keywords []string, last ...string) string {
	var out []string
	for _, k := range append(slices.Clip(keywords), last...) {
		if !slices.ContainsFunc(out, func(o string) bool { return strings.EqualFold(o, k) }) {
			out = append(out, k)
		}
	}
	return strings.Join(out, separator)
}

// Append appends the value for a decision about a client of a service to out. It appends nothing if the map has no entry
// for the client.
func (v *Values) Append(out []byte, service lists.Service, d *lists.Decision) []byte {
	hide, always := d.Hide(), &v.always[service]
	suppress := d.Action == lists.Suppress && service != lists.Submission
	switch {
	case hide == 0 && suppress:
		return append(out, v.Suppress...)
	case hide == 0:
		return append(out, always.offer...)
	}
	begin := len(out)
	out = (hide &^ always.known).AppendTo(append(out, always.text...), begin, separator)
	if suppress {
		if len(out) > begin {
			out = append(out, separator...)
		}
		out = append(out, "starttls"...)
	}
	return out
}
