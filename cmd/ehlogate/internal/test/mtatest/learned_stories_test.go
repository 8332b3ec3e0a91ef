package mtatest_test

import (
	"ehlogate/lists/fallback"
)

// suppressStory: a client that cannot do TLS is learned, delivers in the clear, is probed in vain, is repaired, and is immune.
func (s *learnedSite) suppressStory() {
	const broken, fixed = "TLS 1.0 only", "repaired"
	s.learn(brokenClient, broken, oldTLS10, "suppress")
	for range 3 {
		s.try(brokenClient, broken, oldTLS10, hiddenTLS, isLearned("suppress", 0))
	}
	s.try(brokenClient, broken+" (probe)", oldTLS10, failsTLS, isLearned("suppress", 1)) // its second connection counts, too
	for range 2 {
		s.try(brokenClient, fixed, goodTLS, hiddenTLS, isLearned("suppress", 1))
	}
	mark := s.daemon.Log.Mark()
	s.try(brokenClient, fixed+" (probe)", goodTLS, overTLS13, isImmune)
	s.awaitEvent(`level=warning .*fallback list: repaired.*client=`+brokenClient, mark)
	s.failWhileImmune(brokenClient, "broken again", oldTLS10)
	s.try(brokenClient, fixed, goodTLS, overTLS13, isImmune)
}

// legacyStories: a client that old TLS helps is served it, and one that it does not help is suppressed in the end.
func (s *learnedSite) legacyStories() {
	s.legacyStory()
	s.bothStory()
}

// legacyStory: a client that speaks TLS 1.0 alone is learned, is served TLS 1.0, is probed in vain where the mail server asks
// ehlogate for the versions, is repaired, and is immune.
func (s *learnedSite) legacyStory() {
	const broken, fixed = "TLS 1.0 only", "repaired"
	s.learn(brokenClient, broken, oldTLS10, "legacy")
	s.awaitOldTLS(brokenClient, true)
	for range 3 {
		s.try(brokenClient, broken, oldTLS10, overOldTLS, isLearned("legacy", 0))
	}
	if s.mta.hasProbes {
		s.try(brokenClient, broken+" (probe)", oldTLS10, failsTLS, isLearned("legacy", 1))
	} else { // more than would have had a probe
		s.try(brokenClient, broken, oldTLS10, overOldTLS, isLearned("legacy", 0))
	}
	s.try(brokenClient, broken, oldTLS10, overOldTLS, isLearned("legacy", 0))
	for n := 0; ; n++ { // at once, if it failed for its version; at the next probe, if for what comes with a version
		s.try(brokenClient, fixed, goodTLS, overTLS13, func(r fallback.ClientReport) bool { return isLearned("legacy", 0)(r) || isImmune(r) })
		if isImmune(s.known(brokenClient)) {
			break
		}
		if n == 4 {
			s.Fatalf("the entry of a repaired client does not end: %+v", s.known(brokenClient))
		}
	}
	s.awaitOldTLS(brokenClient, false)
	s.failWhileImmune(brokenClient, "broken again", oldTLS10)
}

// bothStory: a client with ciphers that no service has is served old TLS, which fails, too, and is not offered STARTTLS then.
func (s *learnedSite) bothStory() {
	const broken = "RC4 only"
	s.learn(hopelessClient, broken, oldCipher, "legacy")
	s.awaitOldTLS(hopelessClient, true)
	for n := 0; !isLearned("suppress", 0)(s.known(hopelessClient)); n++ {
		if n == 6 {
			s.Fatalf("old TLS fails, and the client is not suppressed: %+v", s.known(hopelessClient))
		}
		s.awaitSpacing()
		s.try(hopelessClient, broken, oldCipher, failsTLS, func(r fallback.ClientReport) bool { return r.Entry != nil })
	}
	s.awaitOldTLS(hopelessClient, false)
	// The first session may be a probe.
	if a := s.tryOneOf(hopelessClient, broken, oldCipher, []attempt{hiddenTLS, failsTLS}, isLearned("suppress", 0)); a == failsTLS {
		s.try(hopelessClient, broken, oldCipher, hiddenTLS, isLearned("suppress", 1))
	}
}

// awaitOldTLS waits until the mail server serves a client old TLS, or does not any more.
func (s *learnedSite) awaitOldTLS(client string, is bool) {
	if s.mta.awaitOldTLS != nil {
		s.mta.awaitOldTLS(s, client, is)
	}
}
