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

// notifyTimeout is how long the service manager may take to hear us. One that
// does not listen must not stop us; so this is not left to the library, which
// waits without end.
const notifyTimeout = time.Second

// notify tells the service manager how we are (sd_notify(3)), if there is one.
// That it does not listen is told once.
func notify(log *logrus.Logger, state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if err := tell(path, state); err != nil {
		deaf.Do(func() { log.WithError(err).Warn("cannot tell the service manager how we are") })
	}
}

var deaf sync.Once

func tell(path, state string) error {
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
