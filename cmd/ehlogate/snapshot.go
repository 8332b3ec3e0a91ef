package main

import (
	"io"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/engine"
)

// snapshot loads config and lists as they are on disk, for commands that
// answer without the daemon. What is wrong in a list is reported to stderr;
// broken says so.
func (o *options) snapshot(stderr io.Writer, clock func() time.Time) (live *engine.Live, broken bool, err error) {
	cfg, err := o.load()
	if err != nil {
		return nil, false, exitError{exitWrong, err}
	}
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	live = engine.New(cfg, nil, clock, quiet).Live()
	for _, s := range live.Sources {
		if err := s.State().Err; err != nil {
			report(stderr, err)
			broken = true
		}
	}
	return live, broken, nil
}
