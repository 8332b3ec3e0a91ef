package stresstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ehlogate/lists/test/testenv"
)

// visitor is a client that behaves well: it asks a question at a time, waits between them, and if its connection is lost
// asks once more on a new one, as Postfix does.
type visitor struct {
	target Target
	every  time.Duration // between two questions
	renew  int           // questions asked on one connection; 0: all

	talk    *talk
	asked   int
	wrong   []error
	missed  []error         // questions without an answer
	retried int             // questions asked twice
	took    []time.Duration // by those that were answered
}

// visit asks until ctx ends.
func (v *visitor) visit(ctx context.Context) {
	tick := time.NewTicker(v.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			v.leave()
			return
		case <-tick.C:
		}
		if v.renew > 0 && v.asked%v.renew == 0 {
			v.leave()
		}
		v.lookUp(client(v.asked))
		v.asked++
	}
}

func (v *visitor) lookUp(a asked) {
	x, start := newExchange(v.target.Protocol, a), time.Now()
	err := v.tryOnce(x)
	// With few places, as HTTP has, a connection that is new may be the next to go.
	for tries := 1; tries < 3 && err != nil && !errors.Is(err, errWrong); tries++ {
		v.retried++
		err = v.tryOnce(x)
	}
	switch {
	case errors.Is(err, errWrong):
		v.wrong = append(v.wrong, err)
		v.leave()
	case err != nil:
		v.missed = append(v.missed, err)
	default:
		v.took = append(v.took, time.Since(start))
	}
}

func (v *visitor) tryOnce(x exchange) (err error) {
	if v.talk == nil {
		if v.talk, err = newTalk(v.target); err != nil {
			return err
		}
	}
	if err = v.talk.exchange(x); err != nil && !errors.Is(err, errWrong) {
		v.leave()
	}
	return err
}

func (v *visitor) leave() {
	if v.talk != nil {
		v.talk.Close()
		v.talk = nil
	}
}

// visitors of some protocols, two each: one that stays and one that comes anew for every few questions.
func visitors(g *daemon, protocols []string) (all []*visitor) {
	for _, p := range protocols {
		all = append(all, &visitor{target: g.targets[p], every: 5 * time.Millisecond},
			&visitor{target: g.targets[p], every: 20 * time.Millisecond, renew: 5})
	}
	return all
}

// during lets visitors come for a time.
func during(ctx context.Context, d time.Duration, all []*visitor) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var wg sync.WaitGroup
	for _, v := range all {
		wg.Go(func() { v.visit(ctx) })
	}
	wg.Wait()
}

// quantile of what the visitors of a protocol waited, in milliseconds.
func quantile(all []*visitor, protocol string, q float64) float64 {
	var took []time.Duration
	for _, v := range all {
		if v.target.Protocol == protocol {
			took = append(took, v.took...)
		}
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000
}

// TestAttacks runs every attack on all protocols at once, for seconds. With EHLOGATE_TEST_ATTACK_TIME, such as 10s, each attack is for so
// long on one protocol after the other, with as many connections as an attacker can well have.
func TestAttacks(t *testing.T) {
	testenv.Needs(t, "a minute")
	duration, listen, conns := 1500*time.Millisecond, "max_connections = 300", 1500
	var rounds [][]string
	if long := os.Getenv("EHLOGATE_TEST_ATTACK_TIME"); long != "" {
		d, err := time.ParseDuration(long)
		must(t, err)
		duration, listen, conns = d, "", 10_000
		for _, p := range Protocols {
			rounds = append(rounds, []string{p})
		}
	} else {
		rounds = [][]string{Protocols}
	}
	g := start(t, testenv.RacePrograms, "tcp", listen)
	during(t.Context(), time.Second, visitors(g, Protocols)) // whatever is made once
	table := []string{"| attack | protocol | questions | wrong | unanswered | asked twice | p99 before | p99 during | " +
		"RSS before | peak RSS | log lines |",
		"|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"}
	for _, attack := range Attacks() {
		for _, protocols := range rounds {
			protocols = slices.DeleteFunc(slices.Clone(protocols), func(p string) bool {
				return !slices.Contains(attack.Protocols, p)
			})
			if len(protocols) > 0 {
				t.Run(attack.Name+", "+strings.Join(protocols, " "), func(t *testing.T) {
					table = append(table, runAttack(t, g, attack, protocols, duration, conns)...)
				})
			}
		}
	}
	t.Logf("\n%s", strings.Join(table, "\n"))
}

// decided are lines about what was decided, of which there may be 200 a second; the others are about faults.
var decided = regexp.MustCompile(`msg="STARTTLS suppressed"|rate limited: more than`)

func runAttack(t *testing.T, g *daemon, attack Attack, protocols []string, d time.Duration, conns int) (rows []string) {
	rest := g.footprint(t)
	calm := visitors(g, protocols)
	during(t.Context(), d/4, calm)
	g.settles(t, rest)
	g.forget(t)
	mark, rss := g.Log.Mark(), g.status(t, "VmRSS")

	var ends []func()
	for _, p := range protocols {
		ends = append(ends, g.attack(t, attack.Name, p, conns))
	}
	busy := visitors(g, protocols)
	during(t.Context(), d, busy)
	for _, end := range ends {
		end()
	}
	g.settles(t, rest)

	peak := g.status(t, "VmHWM")
	lines, err := g.Log.Lines(regexp.MustCompile(""), mark)
	must(t, err)
	lines = slices.DeleteFunc(lines, decided.MatchString)
	// A protocol has some ten kinds of faults, each told once in ten seconds, and a line a second that it is full.
	if most := len(protocols) * (10 + 10*int(d/(10*time.Second)) + 2*int(d/time.Second) + 2); len(lines) > most {
		t.Errorf("%d lines were logged, more than %d: %q", len(lines), most, lines[:10])
	}
	limit := 16 << 10 // garbage of requests, at a pace that the attacker sets
	for _, p := range protocols {
		limit += min(conns, 4096) * bounds[p]
	}
	if testenv.RacePrograms {
		limit *= 8 // which remembers each access
	}
	if peak-rss > limit {
		t.Errorf("RSS grew from %d to %d KiB", rss, peak)
	}
	for _, p := range protocols {
		var questions, wrong, missed, retried int
		for _, v := range busy {
			if v.target.Protocol != p {
				continue
			}
			questions, retried = questions+v.asked, retried+v.retried
			wrong, missed = wrong+len(v.wrong), missed+len(v.missed)
			for _, err := range slices.Concat(v.wrong, v.missed)[:min(3, len(v.wrong)+len(v.missed))] {
				t.Errorf("%s: %v", p, err)
			}
		}
		if retried > 2+questions/5 { // now and then a visitor is the one idle for the longest
			t.Errorf("%s: %d of %d questions had to be asked again, since the connection had ended", p, retried, questions)
		}
		if questions == 0 {
			t.Errorf("%s: got no question, want some", p)
		}
		rows = append(rows, fmt.Sprintf("| %s | %s | %d | %d | %d | %d | %.2f ms | %.2f ms | %d MiB | %d MiB | %d |",
			attack.Name, p, questions, wrong, missed, retried, quantile(calm, p, 0.99), quantile(busy, p, 0.99),
			rss>>10, peak>>10, len(lines)))
	}
	return rows
}
