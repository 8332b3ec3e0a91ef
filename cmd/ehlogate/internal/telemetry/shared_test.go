package telemetry

import (
	"context"
	"io"
	"net/netip"
	"testing"

	"github.com/sirupsen/logrus"

	"ehlogate/lists"
)

// BenchmarkSampling compares a decision that is sampled with one that is not: sampling must cost nothing worth mention.
func BenchmarkSampling(b *testing.B) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.SetLevel(logrus.ErrorLevel)
	next := lists.DeciderFunc(func(context.Context, lists.Client) lists.Decision {
		return lists.Decision{Verdict: lists.Verdict{Action: lists.Offer, Reason: lists.ReasonLimit}}
	})
	for _, addr := range []string{"8.8.8.8", "172.17.0.1"} {
		c := lists.Client{Addr: netip.MustParseAddr(addr)}
		r := NewRecorder(NewMetrics(newManager(b, "# nothing\n", map[string]string{})), log)
		for name, d := range map[string]lists.Decider{"sampled": r.LoggedDecider("memcache", next), "not": r.Instrumented("policy", next)} {
			b.Run(addr+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						d.Decide(b.Context(), c)
					}
				})
			})
		}
	}
}
