//go:build !setclock

package main

import "time"

// clock tells when an entry has expired. A build for tests has one that can be
// set.
var clock = time.Now
