package main

import (
	"context"
	"net"
	"os"
	"sync"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"
)

// notifyTimeout is how long the service manager may take to read a notification. The library waits without end, and one
// that hangs must not stop the daemon.
const notifyTimeout = time.Second

// notifyManager sends a notification to the service manager (sd_notify(3)), if there is one. A failure is logged once.
func notifyManager(log *logrus.Logger, state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if err := sendState(path, state); err != nil {
		notifyFailed.Do(func() { log.WithError(err).Warn("sd_notify failed") })
	}
}

var notifyFailed sync.Once

func sendState(path, state string) error {
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetWriteDeadline(time.Now().Add(notifyTimeout)); err != nil {
		return err
	}
	_, err = c.Write([]byte(state))
	return err
}

// runWatchdog tells the service manager that the daemon is alive, if it wants to know (WatchdogSec=, systemd.service(5)),
// until ctx ends. check returns if the daemon is alive: if it hangs, the service manager restarts the daemon.
func runWatchdog(ctx context.Context, log *logrus.Logger, check func(context.Context)) {
	interval, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		log.WithError(err).Warn("invalid watchdog settings from the service manager")
	}
	if interval <= 0 {
		return
	}
	tick := time.NewTicker(interval / 3)
	defer tick.Stop()
	for {
		check(ctx)
		notifyManager(log, sd.SdNotifyWatchdog)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
