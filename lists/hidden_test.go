package lists

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func keywords(names ...string) (k Keywords) {
	for _, name := range names {
		k |= MustParseKeyword(name)
	}
	return k
}

// What is hidden does not depend on which list decides, and what is decided not on which lists hide.
func TestHide(t *testing.T) {
	dsn, size, auth := keywords("dsn"), keywords("size"), keywords("auth")
	both := NewServices(SMTP, Submission)
	submission := NewServices(Submission)
	for what, tc := range map[string]struct {
		lists            []*List
		mode             Mode
		action           Action
		smtp, submission Keywords
		by               int // lists in Hidden
	}{
		"a list with no action leaves the action to the next": {lists: []*List{
			{Action: NoAction, Hide: dsn, Source: fixed(Matched)}, {Action: Suppress, Source: fixed(Matched)}}, action: Suppress, smtp: dsn, by: 1},
		"a list behind the one that decides hides": {lists: []*List{
			{Action: Suppress, Hide: size, Source: fixed(Matched)}, {Action: Offer, Hide: dsn, Source: fixed(Matched)}}, action: Suppress, smtp: dsn | size, by: 2},
		"also behind an unavailable list": {lists: []*List{
			{Action: Offer, Source: fixed(Unavailable)}, {Action: Suppress, Hide: dsn, Source: fixed(Matched)}}, smtp: dsn, by: 1},
		"an exception hides nothing": {lists: []*List{{Action: NoAction, Hide: dsn, Source: fixed(Exception)}}},
		"an unavailable list hides nothing, and decides nothing": {lists: []*List{
			{Action: NoAction, Hide: dsn, Source: fixed(Unavailable)}, {Action: Suppress, Source: fixed(Matched)}}, action: Suppress},
		"a list that observes hides nothing": {lists: []*List{
			{Action: NoAction, Hide: dsn, Mode: Observe, Source: fixed(Matched)}, {Action: NoAction, Hide: size, Source: fixed(Matched)}}, smtp: size, by: 2},
		"a policy that observes hides nothing": {mode: Observe, lists: []*List{{Action: Suppress, Hide: dsn, Source: fixed(Matched)}}, by: 1},
		"submission": {lists: []*List{
			{Action: NoAction, Hide: auth, Services: submission, Source: fixed(Matched)}, {Action: Suppress, Hide: dsn, Services: both, Source: fixed(Matched)},
			{Action: Suppress, Hide: size, Source: fixed(Matched)}}, action: Suppress, smtp: dsn | size, submission: auth | dsn, by: 2},
		"an external list that the guard overrides still hides": {lists: []*List{{Action: Suppress, Hide: dsn, External: true, Source: fixed(Matched)}}, smtp: dsn, by: 1},
	} {
		t.Run(what, func(t *testing.T) {
			p := &Policy{Lists: tc.lists, Mode: tc.mode, Guard: &slow{then: Matched}}
			for name, decide := range map[string]func(Client) Decision{
				"Decide":       func(c Client) Decision { return p.Decide(t.Context(), c) },
				"DecideCached": p.DecideCached, "ReviewCached": p.ReviewCached,
			} {
				c := someone
				d := decide(c)
				if d.Action != tc.action || d.Hide() != tc.smtp {
					t.Errorf("%s: got %s, hidden %s; want %s, hidden %s", name, d.Action, d.Hide(), tc.action, tc.smtp)
				}
				if n := len(p.Decide(t.Context(), c).Hidden.lists()); n != tc.by {
					t.Errorf("%s: %d lists hide, want %d", name, n, tc.by)
				}
				c.Service = Submission
				if d = decide(c); d.Action != Offer || d.Reason != ReasonSubmission || d.Hide() != tc.submission {
					t.Errorf("%s on submission: got %s by %s, hidden %s; want an offer, hidden %s", name, d.Action, d.Reason, d.Hide(), tc.submission)
				}
			}
		})
	}
}

func (h *Hidden) lists() []Verdict {
	if h == nil {
		return nil
	}
	return h.By
}

// A list that is looked up for what it hides is waited for, also behind the list that decides.
func TestHideWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const wait = 300 * time.Millisecond
		for _, tc := range []struct {
			after time.Duration
			want  Keywords
		}{{wait / 2, keywords("dsn")}, {2 * wait, 0}} {
			p := &Policy{Wait: wait, Lists: []*List{{Action: Suppress, Source: fixed(Matched)}, {Action: NoAction, Hide: keywords("dsn"), Source: &slow{after: tc.after, then: Matched}}}}
			begin := time.Now()
			d := p.Decide(t.Context(), someone)
			if took := time.Since(begin); d.Action != Suppress || d.Hide() != tc.want || took != min(tc.after, wait) {
				t.Errorf("after %v: got %s, hidden %q, in %v", tc.after, d.Action, d.Hide(), took)
			}
		}
	})
}

// No policy, of any lists in any state, hides STARTTLS on submission, and what it hides there are keywords of lists for it.
func TestSubmissionIsOffered(t *testing.T) {
	random := rand.New(rand.NewPCG(18, 1))
	statuses := []Status{NoMatch, Matched, Exception, Unavailable, Pending}
	for range 20000 {
		p := &Policy{Default: Action(random.IntN(2)), Mode: Mode(random.IntN(2))}
		if random.IntN(2) == 0 {
			p.Limit = &slow{}
		}
		if random.IntN(2) == 0 {
			p.Guard = &slow{then: Status(random.IntN(2))}
		}
		var allowed Keywords
		for range random.IntN(5) {
			l := &List{Action: Action(random.IntN(int(NoAction) + 1)), Mode: Mode(random.IntN(2)), External: random.IntN(2) == 0,
				Hide: Keywords(random.IntN(1 << len(keywordNames))), Services: Services(random.IntN(4)), Source: fixed(statuses[random.IntN(len(statuses))])}
			p.Lists = append(p.Lists, l)
			if l.Services.Has(Submission) {
				allowed |= l.Hide
			}
		}
		c := someone
		c.Service = Submission
		for _, d := range []Decision{p.Decide(context.Background(), c), p.Review(context.Background(), c), p.DecideCached(c), p.ReviewCached(c)} {
			if d.Action != Offer || d.Hide()&^allowed != 0 {
				t.Fatalf("%+v: got %s, hidden %s", p, d.Action, d.Hide())
			}
		}
	}
}

func TestKeywords(t *testing.T) {
	for _, name := range KeywordNames() {
		k, err := ParseKeyword(strings.ToUpper(name))
		if err != nil || k.String() != name {
			t.Errorf("%s became %s, %v", name, k, err)
		}
	}
	if _, err := ParseKeyword("starttls"); err == nil {
		t.Error("starttls was taken: an action hides it")
	}
	k := keywords("dsn", "auth", "silent-discard")
	if got := string(k.AppendTo([]byte("x"), 1, ", ")); got != "xauth, dsn, silent-discard" || !slices.Equal(slices.Collect(k.All()), []string{"auth", "dsn", "silent-discard"}) {
		t.Errorf("got %q", got)
	}
	if got := string(k.AppendTo([]byte("x, "), 1, ", ")); got != "x, , auth, dsn, silent-discard" {
		t.Errorf("got %q", got)
	}
}
