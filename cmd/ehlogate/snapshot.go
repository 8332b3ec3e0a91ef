package main

import (
	"io"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/reload"
)

// loadSnapshot loads the config and the lists on disk, for commands that do without the daemon. Errors in lists are
// written to stderr; unavailable reports whether there are any.
func (o *options) loadSnapshot(stderr io.Writer, clock func() time.Time) (manager *reload.Manager, unavailable bool, err error) {
	cfg, err := o.loadConfig()
	if err != nil {
		return nil, false, exitError{exitWrong, err}
	}
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	manager = reload.New(cfg, nil, clock, quiet)
	errs := manager.Snapshot().Unavailable()
	for _, err := range errs {
		reportError(stderr, err)
	}
	return manager, len(errs) > 0, nil
}
