//go:build setclock

package main

import (
	"os"
	"time"
)

// clock reads the time, in the form of RFC 3339, from the file that EHLOGATE_CLOCK names, each time.
func clock() time.Time {
	text, err := os.ReadFile(os.Getenv("EHLOGATE_CLOCK"))
	if err != nil {
		panic(err)
	}
	now, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		panic(err)
	}
	return now
}
