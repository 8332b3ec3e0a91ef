package main

import (
	"fmt"
	"io"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/engine"
)

// snapshot loads config and lists as they are on disk, for commands that
// answer without the daemon. What is wrong in a list is reported to stderr;
// broken says so.
func (o *options) snapshot(stderr io.Writer, clock func() time.Time) (eng *engine.Engine, broken bool, err error) {
	cfg, err := o.load()
	if err != nil {
		return nil, false, exitError{exitWrong, err}
	}
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	eng = engine.New(cfg, nil, clock, quiet)
	for l, s := range eng.Live().Files() {
		state := s.State()
		if err := state.Fault(); err != nil {
			report(stderr, err)
			broken = true
		} else if state.Stale {
			fmt.Fprintf(stderr, "list %q counts as not loaded: its files are older than stale_after = %v allows\n", l.Name, l.Spec.StaleAfter)
			broken = true
		}
	}
	return eng, broken, nil
}
