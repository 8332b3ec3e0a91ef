package main

import (
	"context"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"
)

// notify tells the service manager how we are (sd_notify(3)), if there is one.
func notify(log *logrus.Logger, state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		log.WithError(err).Warn("cannot tell the service manager how we are")
	}
}

// watchdog tells the service manager again and again that we are alive, if it
// wants to know (WatchdogSec=, systemd.service(5)), until ctx ends. check
// returns if we are: should it wait for something that never comes, we are
// started anew.
func watchdog(ctx context.Context, log *logrus.Logger, check func(context.Context)) {
	interval, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		log.WithError(err).Warn("cannot tell whether there is a watchdog")
	}
	if interval <= 0 {
		return
	}
	tick := time.NewTicker(interval / 3)
	defer tick.Stop()
	for {
		check(ctx)
		notify(log, sd.SdNotifyWatchdog)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
