package cpupressure

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/lists/pressure"
	"ehlogate/lists/ratelimit"
)

// Options are the settings of a Service.
type Options struct {
	Target float64 // share of time, from which on fewer clients are offered STARTTLS
	File   string  // "": one of DefaultFiles
}

// Status is what the Service knows, for operators.
type Status struct {
	File     string  `json:"file"`
	Target   float64 `json:"target"`
	Pressure float64 `json:"pressure"` // average of about a second, from 0 to 1
	// OffersPerSecond is what the pressure allows; null: it sets no limit.
	OffersPerSecond *float64 `json:"offers_per_second"`
	// Error is why it cannot be read. It sets no limit then.
	Error string    `json:"error,omitempty"`
	Since time.Time `json:"since,omitzero"` // of Error
}

// IsDegraded reports whether the pressure cannot be read.
func (s *Status) IsDegraded() bool { return s.Error != "" }

// IsLimiting reports whether the pressure sets a limit.
func (s *Status) IsLimiting() bool { return s.OffersPerSecond != nil }

// String describes it in a line.
func (s *Status) String() string {
	if s.IsDegraded() {
		return "unknown, so it sets no limit: " + s.Error
	}
	allows := "it sets no limit"
	if n := s.OffersPerSecond; n != nil {
		allows = fmt.Sprintf("it allows %.3g offers a second", *n)
	}
	return fmt.Sprintf("%.0f %% (cpu_pressure is %.0f %%): %s", 100*s.Pressure, 100*s.Target, allows)
}

const (
	// defaultReadLimit is how long reading may take before the limit ends.
	defaultReadLimit = 2 * time.Second
	// logPause is how long a log line about a state stands, if the state changes back meanwhile.
	logPause = time.Minute
)

// Service reads the CPU pressure, and sets the rate of a Limiter by it.
type Service struct {
	options   Options
	limiter   *ratelimit.Limiter
	clock     func() time.Time
	log       *logrus.Logger
	readLimit time.Duration

	mu     sync.Mutex
	status Status

	// The goroutine of Run owns the rest.
	controller *pressure.Controller
	last       *reading // nil: the next is the first
	offers     uint64   // at the last reading
	faulty     announced
	limiting   announced
}

// announced is a state that the log tells of.
type announced struct {
	is bool
	at time.Time // of the last line
}

// follow reports whether a line is due: the state is another one than in the last line, which has stood for logPause.
func (a *announced) follow(is bool, now time.Time) bool {
	if a.is == is || !a.at.IsZero() && now.Sub(a.at) < logPause {
		return false
	}
	a.is, a.at = is, now
	return true
}

// reading is what one look at the file found.
type reading struct {
	at    time.Time
	total time.Duration
	file  string
	err   *Error
}

// New returns a Service that does nothing until Run.
func New(o Options, limiter *ratelimit.Limiter, clock func() time.Time, log *logrus.Logger) *Service {
	return &Service{options: o, limiter: limiter, clock: clock, log: log, readLimit: defaultReadLimit,
		status: Status{File: o.File, Target: o.Target}, controller: pressure.New(o.Target)}
}

// Options returns the settings.
func (s *Service) Options() Options { return s.options }

// Status returns what is known now.
func (s *Service) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Run follows the pressure until ctx ends, even if the file system hangs then. There is no limit by pressure afterwards.
func (s *Service) Run(ctx context.Context) {
	defer s.limiter.SetPressureRate(math.Inf(1))
	tick := time.NewTicker(pressure.Period)
	defer tick.Stop()
	looked := make(chan reading, 1)
	for {
		go func() { looked <- s.look() }()
		if !s.await(ctx, looked) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// await takes what look finds. It reports false if ctx ends before.
func (s *Service) await(ctx context.Context, looked <-chan reading) bool {
	slow := time.NewTimer(s.readLimit)
	defer slow.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case r := <-looked:
			s.take(r)
			return true
		case <-slow.C:
			s.take(reading{file: s.Status().File, err: &Error{fmt.Sprintf("reading the CPU pressure takes longer than %v", s.readLimit), "name a file of the kernel in pressure_file"}})
		}
	}
}

func (s *Service) look() (r reading) {
	r.total, r.file, r.err = Measure(s.options.File)
	r.at = s.clock()
	return r
}

// take sets the limit by a reading.
func (s *Service) take(r reading) {
	if r.err != nil {
		s.last, s.controller = nil, pressure.New(s.options.Target)
		s.publish(r)
		return
	}
	stats := s.limiter.Stats()
	made := stats.Offered + stats.FailOpen
	// The counters of another file, or of a cgroup that was made anew, are not those of before.
	if last := s.last; last != nil && last.file == r.file && r.total >= last.total {
		if elapsed := r.at.Sub(last.at); elapsed > 0 {
			s.controller.Add(pressure.Sample{Elapsed: elapsed, Pressure: float64(r.total-last.total) / float64(elapsed), Offers: made - s.offers})
		}
	}
	s.last, s.offers = &r, made
	s.publish(r)
}

// publish puts the limit of the controller into effect, and logs what changed.
func (s *Service) publish(r reading) {
	limit := s.controller.Limit()
	s.limiter.SetPressureRate(limit)
	next := Status{File: r.file, Target: s.options.Target, Pressure: s.controller.Average()}
	if !math.IsInf(limit, 1) {
		next.OffersPerSecond = &limit
	}
	s.mu.Lock()
	before := s.status
	if r.err != nil {
		if next.Error, next.Since = r.err.Error(), before.Since; !before.IsDegraded() {
			next.Since = s.clock()
		}
	}
	s.status = next
	s.mu.Unlock()
	s.logChanges(&next, r.err)
}

func (s *Service) logChanges(now *Status, err *Error) {
	without := "without a limit"
	if n := s.limiter.Rate().OffersPerSecond; n > 0 {
		without = fmt.Sprintf("up to offers_per_second (%v)", n)
	}
	at := s.clock()
	if s.faulty.follow(now.IsDegraded(), at) {
		if now.IsDegraded() {
			s.log.WithField("error", err.Error()).WithField("hint", err.Hint()).Warnf("cpu_pressure has no effect: clients on no list are offered STARTTLS %s", without)
		} else {
			s.log.WithField("file", now.File).Info("cpu_pressure has effect again")
		}
	}
	if s.limiting.follow(now.IsLimiting(), at) {
		if now.IsLimiting() {
			s.log.Infof("the CPU is short: pressure %.0f %%, and cpu_pressure is %.0f %%: fewer clients on no list are offered STARTTLS", 100*now.Pressure, 100*now.Target)
		} else {
			s.log.Infof("the CPU is not short any more: clients on no list are offered STARTTLS %s", without)
		}
	}
}
