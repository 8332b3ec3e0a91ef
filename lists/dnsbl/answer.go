package dnsbl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"ehlogate/lists/dnsclient"
)

// maxAnswers is how many different answers one query can have. Lists give one for each of their parts that has the client.
const maxAnswers = 64

// Problem is what is wrong with the answers of a zone.
type Problem uint8

const (
	// NotListAnswer means an answer outside 127.0.0.0/8: the domain has another owner, or the resolver makes up answers.
	NotListAnswer Problem = iota
	// ErrorCode means an answer by which a list refuses to answer.
	ErrorCode
	// TooManyAnswers means more answers to one query than a list gives.
	TooManyAnswers
	// ListsTooMuch means that a test entry is listed that must not be, so the zone can list all addresses.
	ListsTooMuch
	// ListsNothing means that the test entry that has to be listed is not.
	ListsNothing
)

// BogusError is an answer that no list gives.
type BogusError struct {
	Problem Problem
	Entry   string // the test entry, of ListsTooMuch and ListsNothing
	Answer  string // the answers, if there are some
}

var _ dnsclient.BogusError = (*BogusError)(nil)

func (e *BogusError) BogusAnswer() {}

func (e *BogusError) Error() string {
	switch e.Problem {
	case NotListAnswer:
		return fmt.Sprintf("answer %s is not in 127.0.0.0/8: the domain has another owner, or the resolver makes up answers", e.Answer)
	case ErrorCode:
		return fmt.Sprintf("answer %s is an error code: %s", e.Answer, e.CodeMeaning())
	case TooManyAnswers:
		return "too many answers to one query: " + e.Answer
	case ListsTooMuch:
		return fmt.Sprintf("%s is listed (%s), so all clients can be", e.Entry, e.Answer)
	default:
		return e.Entry + " is not listed, but has to be (RFC 5782 section 5)"
	}
}

// CodeMeaning returns what an error code means, as Spamhaus and dnswl.org publish them; other lists have taken them over.
func (e *BogusError) CodeMeaning() string {
	switch e.Answer {
	case "127.0.0.255":
		return "the query is refused: there are too many, or they come through a public resolver"
	case "127.255.255.252":
		return "the name of the zone is misspelled"
	case "127.255.255.254":
		return "it is queried through a public resolver"
	case "127.255.255.255":
		return "it is queried too often"
	}
	return "the query is refused"
}

// query returns the A records of a question: for each the three bytes behind 127, in order and once.
func (z *zone) query(ctx context.Context, r dnsclient.Resolver, question string) (answers string, ttl time.Duration, err error) {
	reply, err := r.Query(ctx, z.domainOf(question), dns.TypeA)
	if failed := new(dnsclient.Error); errors.As(err, &failed) {
		shown := *failed
		shown.Name = z.show(question)
		return "", 0, &shown
	} else if err != nil {
		return "", 0, err
	}
	var found []string
	for _, addr := range reply.Addrs() {
		if !addr.Is4() || addr.As4()[0] != 127 { // RFC 5782 section 2.1
			return "", 0, &BogusError{Problem: NotListAnswer, Answer: addr.String()}
		}
		b := addr.As4()
		// 127.0.0.255 is the error code of dnswl.org, and the highest score of a list of scores.
		if b[1] == 255 && b[2] == 255 || b == [4]byte{127, 0, 0, 255} && !z.takes255.Load() {
			return "", 0, &BogusError{Problem: ErrorCode, Answer: addr.String()}
		}
		found = append(found, string(b[1:]))
	}
	slices.Sort(found)
	found = slices.Compact(found)
	if len(found) > maxAnswers {
		return "", 0, &BogusError{Problem: TooManyAnswers, Answer: fmt.Sprint(len(found))}
	}
	return strings.Join(found, ""), reply.TTL, nil
}

func formatAnswers(answers string) string {
	var b strings.Builder
	for i := 0; i+3 <= len(answers); i += 3 {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "127.%d.%d.%d", answers[i], answers[i+1], answers[i+2])
	}
	return b.String()
}
