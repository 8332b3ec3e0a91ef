package main

import (
	"io"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/reload"
)

// snapshot loads config and lists as they are on disk, for commands that
// answer without the daemon. What is wrong in a list is reported to stderr;
// broken says so.
func (o *options) snapshot(stderr io.Writer, clock func() time.Time) (eng *reload.Manager, broken bool, err error) {
	cfg, err := o.load()
	if err != nil {
		return nil, false, exitError{exitWrong, err}
	}
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	eng = reload.New(cfg, nil, clock, quiet)
	errs := eng.Snapshot().Unavailable()
	for _, err := range errs {
		report(stderr, err)
	}
	return eng, len(errs) > 0, nil
}
