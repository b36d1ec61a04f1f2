//go:build race

package app

// raceEnabled tells that the race detector is on: handshakes take ten times as long, so
// that tests of many run fewer.
const raceEnabled = true
