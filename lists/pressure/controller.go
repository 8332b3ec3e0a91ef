// Package pressure decides how many offers of STARTTLS a second a machine has CPU for, from its CPU pressure: the share
// of time in which a task was ready to run and waited for a processor (PSI of Linux). It does no I/O and reads no clock.
//
// Below the target, clients on no list are offered STARTTLS without a limit. When the pressure exceeds the target, the
// limit begins at the rate of offers that was made just then, and falls for as long as the pressure is too high, down to
// no offer at all. It rises again when the pressure is below the target, more slowly near the rate at which pressure was
// too high last, so that it comes to rest there. Where it no longer meets that pressure it rises ever faster, until there
// is none.
package pressure

import (
	"math"
	"time"
)

// Sample is what happened since the sample before.
type Sample struct {
	Elapsed  time.Duration
	Pressure float64 // share of Elapsed, from 0 to 1
	Offers   uint64  // that the limit counts
}

const (
	// Period is the usual time between two samples.
	Period = 200 * time.Millisecond
	// averageTime is the time constant of the average. A task that takes a processor for a moment does not reach the
	// target in it, and a flood does within a second.
	averageTime = time.Second
	// longestStep bounds what one sample can change, after a time in which the daemon did not run.
	longestStep = 2 * time.Second

	// Changes of the limit in a second, as exponents. They are in proportion to how far the pressure is from the target,
	// and are reached at no pressure, and at twice the target or more.
	fall     = 0.5
	rise     = 0.7
	riseNear = 0.15 // within nearby of the rate at which pressure was too high last, and just after that
	nearby   = 2.0
	// forget is for how long that rate slows the rise, about: it may have been too high for another reason.
	forget = 4 * time.Second

	// least and most are the lowest and the highest limit, in offers a second. Below is none at all, above there is no limit.
	least, most = 1.0, 10_000.0
	// first is the lowest rate at which a limit begins. Where there are fewer offers, they are hardly what takes the CPU: such a
	// limit refuses a client only if the pressure stays.
	first = 20.0
)

// Controller turns samples into a limit.
type Controller struct {
	target  float64
	average float64 // of the pressure
	offers  float64 // a second, averaged like the pressure
	limit   float64 // offers a second; infinity: none
	full    float64 // limit at which pressure was too high last; 0: it never was
	falling bool
	rising  time.Duration // for how long it has not fallen
}

// New returns a Controller that has no limit yet. target is the pressure from which on the limit falls.
func New(target float64) *Controller { return &Controller{target: target, limit: math.Inf(1)} }

// Average returns the pressure by which the limit is set.
func (c *Controller) Average() float64 { return c.average }

// Limit returns the limit in offers a second: infinity if there is none, 0 if none may be made.
func (c *Controller) Limit() float64 { return c.limit }

// Add takes a sample into account, and returns the limit.
func (c *Controller) Add(s Sample) float64 {
	if s.Elapsed <= 0 {
		return c.limit
	}
	step := min(s.Elapsed, longestStep)
	seconds, weight := step.Seconds(), 1-math.Exp(-float64(s.Elapsed)/float64(averageTime))
	c.average += weight * (min(max(s.Pressure, 0), 1) - c.average)
	c.offers += weight * (float64(s.Offers)/s.Elapsed.Seconds() - c.offers)
	if excess := c.average/c.target - 1; excess > 0 {
		c.lower(min(excess, 1) * seconds)
	} else {
		c.raise(-excess, step)
	}
	return c.limit
}

// lower lowers the limit. What is above the rate of offers, and above first, would only delay that.
func (c *Controller) lower(by float64) {
	c.rising = 0
	c.limit = max(min(c.limit, c.offers), min(c.limit, first))
	if !c.falling {
		c.falling, c.full = true, c.limit
	}
	if c.limit *= math.Exp(-fall * by); c.limit < least {
		c.limit = 0
	}
}

func (c *Controller) raise(share float64, step time.Duration) {
	c.falling = false
	c.rising += step
	speed := rise
	if c.limit > c.full/nearby && c.limit < c.full*nearby {
		speed = min(rise, riseNear*(1+c.rising.Seconds()/forget.Seconds()))
	}
	if c.limit = max(c.limit*math.Exp(speed*share*step.Seconds()), least); c.limit > most {
		c.limit = math.Inf(1)
	}
}
