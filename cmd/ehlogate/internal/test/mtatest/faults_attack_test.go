package mtatest_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/stresstest"
	"ehlogate/lists/test/testenv"
)

// TestAttackFaults has every protocol attacked at once, in each way that there is, while a real Postfix asks. The attackers
// want more connections than a socket has: those of Postfix, on other sockets, must not have to go for them.
func TestAttackFaults(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	table := newFaultTable(t, "What others do to it, on all protocols at once")
	r := newEnv(t, table, heldLists, map[string]string{"deny.list": evenDenied()}, nil)
	for _, a := range stresstest.Attacks() {
		r.playFault(t, fault{name: a.Name, through: both, every: 1, do: func(ctx context.Context, r *env) error {
			ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			failures := make([]error, len(a.Protocols))
			var attackers sync.WaitGroup
			for i, protocol := range a.Protocols {
				attackers.Go(func() {
					failures[i] = a.Run(ctx, stresstest.Target{Protocol: protocol, Network: "tcp", Addr: r.at[protocol], Conns: mostConns * 3 / 2})
				})
			}
			attackers.Wait()
			return errors.Join(failures...)
		}})
	}
}
