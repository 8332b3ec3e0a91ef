//go:build !setclock

package main

import "time"

// clock is the time by which entries expire. A build for tests has one that can be set.
var clock = time.Now
