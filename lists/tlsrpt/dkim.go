package tlsrpt

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/miekg/dns"
	"golang.org/x/net/publicsuffix"

	"ehlogate/lists"
	"ehlogate/lists/dnsclient"
)

// maxSignatures is how many signatures of a message are checked, the first ones.
const maxSignatures = 5

// Mail is the message that a report came with.
type Mail struct {
	From      string // domain of the author; "" if there is not exactly one
	Submitter string // domain that TLS-Report-Submitter names; "" if it is none
	Received  time.Time
	message   []byte
}

func newMail(message []byte, h mail.Header) *Mail {
	m := &Mail{message: message}
	if authors := authorFields(h); len(authors) == 1 {
		if all, err := mail.ParseAddressList(authors[0]); err == nil && len(all) == 1 {
			m.From, _ = lists.ParseHostName(all[0].Address[strings.LastIndexByte(all[0].Address, '@')+1:])
		}
	}
	if name, ok := lists.ParseHostName(strings.TrimSpace(h.Get("TLS-Report-Submitter"))); ok && strings.Contains(name, ".") {
		m.Submitter = name
	}
	if first := h["Received"]; len(first) > 0 { // that of this mail server
		if at, err := mail.ParseDate(strings.TrimSpace(first[0][strings.LastIndexByte(first[0], ';')+1:])); err == nil {
			m.Received = at
		}
	}
	return m
}

// authorFields returns the fields From. The library takes one with a space before its colon for one of them, too.
func authorFields(h mail.Header) (all []string) {
	for name, fields := range h {
		if strings.EqualFold(strings.TrimSpace(name), "From") {
			all = append(all, fields...)
		}
	}
	return all
}

// Result is what became of the check of a signature.
type Result string

const (
	// Pass means that the domain of the sender signed the message, as RFC 8460 section 3 asks: the report can be believed.
	Pass Result = "pass"
	// Unsigned means that there is no signature.
	Unsigned Result = "none"
	// Fail means that no signature is valid.
	Fail Result = "fail"
	// Unaligned means that only a domain signed that is not the sender's.
	Unaligned Result = "unaligned"
	// Unknown means that the key could not be looked up. It may be possible later.
	Unknown Result = "unknown"
)

// Results returns all results.
func Results() []Result { return []Result{Pass, Unsigned, Fail, Unaligned, Unknown} }

// Signature is what is known of the sender of a report.
type Signature struct {
	Result Result `json:"result"`
	Domain string `json:"domain,omitempty"` // that signed, or should have
	Reason string `json:"reason,omitempty"` // why the result is not pass
}

// Verify checks the DKIM signatures of a message (RFC 6376). nil is a report that came without a message.
func (m *Mail) Verify(ctx context.Context, resolver dnsclient.Resolver) Signature {
	if m == nil {
		return Signature{Result: Unsigned, Reason: "a bare report, without the message that the sender signed"}
	}
	keys := keys{ctx, resolver}
	checked, err := dkim.VerifyWithOptions(bytes.NewReader(m.message), &dkim.VerifyOptions{LookupTXT: keys.lookup, MaxVerifications: maxSignatures})
	if err != nil && !errors.Is(err, dkim.ErrTooManySignatures) {
		return Signature{Fail, m.From, err.Error()}
	}
	worst := Signature{Result: Unsigned, Domain: m.From, Reason: "the message is not signed"}
	for _, v := range checked {
		s := m.judge(v)
		if s.Result == Pass {
			return s
		}
		if order := []Result{Unsigned, Unaligned, Fail, Unknown}; slices.Index(order, s.Result) > slices.Index(order, worst.Result) {
			worst = s
		}
	}
	return worst
}

// judge returns what one signature is worth.
func (m *Mail) judge(v *dkim.Verification) Signature {
	s := Signature{Result: Pass, Domain: lists.NormalizeName(v.Domain)}
	fail := func(r Result, reason string) Signature {
		s.Result, s.Reason = r, reason
		return s
	}
	switch {
	case v.Err != nil && dkim.IsTempFail(v.Err):
		return fail(Unknown, strings.TrimPrefix(v.Err.Error(), "dkim: "))
	case v.Err != nil:
		return fail(Fail, strings.TrimPrefix(v.Err.Error(), "dkim: "))
	case m.From == "":
		return fail(Unaligned, "the message has no valid From, or several")
	case !isAligned(s.Domain, m.From):
		return fail(Unaligned, fmt.Sprintf("signed by %s, but sent by %s", s.Domain, m.From))
	case m.Submitter != "" && !isAligned(s.Domain, m.Submitter):
		return fail(Unaligned, fmt.Sprintf("signed by %s, but submitted by %s", s.Domain, m.Submitter))
	}
	return s
}

// isAligned reports whether two domains belong to one organization: they are the same, or have the same registered domain.
func isAligned(one, other string) bool {
	a, err := publicsuffix.EffectiveTLDPlusOne(one)
	if err != nil { // a public suffix, which belongs to many
		return false
	}
	b, err := publicsuffix.EffectiveTLDPlusOne(other)
	return err == nil && a == b
}

// keys looks up the keys of signatures.
type keys struct {
	ctx      context.Context
	resolver dnsclient.Resolver
}

// lookup returns the TXT records of a name. A key that is not for reports is an error.
func (k keys) lookup(name string) (all []string, err error) {
	answer, err := k.resolver.Query(k.ctx, name, dns.TypeTXT)
	if err != nil {
		if kind := dnsclient.KindOf(err); kind != dnsclient.Malformed && kind != dnsclient.Bogus {
			return nil, temporary{err}
		}
		return nil, err
	}
	for _, rr := range answer.Records {
		if rr, ok := rr.(*dns.TXT); ok {
			key, err := checkService(strings.Join(rr.Txt, ""))
			if err != nil {
				return nil, err
			}
			all = append(all, key)
		}
	}
	return all, nil
}

// checkService returns an error if a key is not for reports (RFC 8460 section 3): its service type, if it has one, must be
// tlsrpt or *. The library knows the service type of mail only, so that it is left out of the key that it sees. A key that is
// being tested signs nothing (RFC 6376 section 3.6.1).
func checkService(key string) (string, error) {
	var tags []string
	for tag := range strings.SplitSeq(key, ";") {
		name, value, _ := strings.Cut(tag, "=")
		values := strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(" \t\r\n:", r) })
		switch name = strings.TrimSpace(name); {
		case name == "t" && slices.Contains(values, "y"):
			return "", errors.New("the domain only tests this key (t=y)")
		case name == "s" && !slices.Contains(values, "tlsrpt") && !slices.Contains(values, "*"):
			return "", fmt.Errorf("the key is for the service %.100q, not for tlsrpt", cmp.Or(strings.Join(values, ":"), "none"))
		case name == "s":
			continue
		}
		tags = append(tags, tag)
	}
	return strings.Join(tags, ";"), nil
}

// temporary is an error that may be gone later, in the form that the library knows.
type temporary struct{ error }

func (temporary) Timeout() bool   { return true }
func (temporary) Temporary() bool { return true }
