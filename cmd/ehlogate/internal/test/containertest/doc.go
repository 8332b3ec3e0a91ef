// Package containertest tests the files of examples/container: the image that they make, run by crun, beside a real Postfix
// that has the settings of docker-mailserver or mailcow.
package containertest
