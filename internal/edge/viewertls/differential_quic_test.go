package viewertls

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pqfront/internal/rawtls"
	"pqfront/internal/tlspolicy"
)

// quicLink carries the handshake messages of a rawtls client to an engine for QUIC:
// the bytes of CRYPTO frames, without packets, and the secrets of both sides.
type quicLink struct {
	ctx     context.Context
	server  *tls.QUICConn
	r       *rand.Rand
	level   tls.QUICEncryptionLevel // of what the client writes
	in      map[tls.QUICEncryptionLevel][]byte
	reading tls.QUICEncryptionLevel
	secrets map[string][]byte
	alert   []byte
	done    bool
}

func newQUICLink(ctx context.Context, config *tls.Config, r *rand.Rand) (*quicLink, error) {
	l := &quicLink{
		ctx: ctx, server: tls.QUICServer(&tls.QUICConfig{TLSConfig: config}), r: r,
		in: map[tls.QUICEncryptionLevel][]byte{}, secrets: map[string][]byte{},
	}
	l.server.SetTransportParameters([]byte("parameters"))
	return l, l.server.Start(ctx)
}

// WriteMessage gives the engine the message in pieces, as CRYPTO frames cut it.
func (l *quicLink) WriteMessage(msg []byte) error {
	for piece := range slices.Chunk(msg, 1+l.r.IntN(1500)) {
		if err := l.server.HandleData(l.level, piece); err != nil {
			return l.failed(err)
		}
		if err := l.drain(); err != nil {
			return l.failed(err)
		}
	}
	return nil
}

// failed turns the engine's error into the alert that the client would get
// (RFC 9001, Section 4.8).
func (l *quicLink) failed(err error) error {
	alert, ok := errors.AsType[tls.AlertError](err)
	if !ok {
		return err
	}
	l.alert = []byte{21, 3, 3, 0, 2, 2, byte(alert)}
	return fmt.Errorf("%w: %w", rawtls.ErrAlert, err)
}

// drain takes what the engine has to say.
func (l *quicLink) drain() error {
	for {
		switch e := l.server.NextEvent(); e.Kind {
		case tls.QUICNoEvent:
			return nil
		case tls.QUICWriteData:
			l.in[e.Level] = append(l.in[e.Level], e.Data...)
		case tls.QUICSetReadSecret:
			l.secrets[fmt.Sprint("client ", e.Level)] = bytes.Clone(e.Data)
		case tls.QUICSetWriteSecret:
			l.secrets[fmt.Sprint("server ", e.Level)] = bytes.Clone(e.Data)
		case tls.QUICHandshakeDone:
			l.done = true
			if err := l.server.SendSessionTicket(tls.QUICSessionTicketOptions{}); err != nil {
				return err
			}
		}
	}
}

// ReadMessage returns the next message of the level that the client reads.
func (l *quicLink) ReadMessage() ([]byte, error) {
	data := l.in[l.reading]
	if len(data) < 4 {
		return nil, rawtls.ErrEnd
	}
	n := 4 + (int(data[1])<<16 | int(data[2])<<8 | int(data[3]))
	l.in[l.reading] = data[n:]
	return data[:n:n], nil
}

func (l *quicLink) Hello(version uint16) error {
	if version != rawtls.VersionTLS13 {
		return fmt.Errorf("version %#04x over QUIC", version) // RFC 9001, Section 4.2
	}
	return nil
}

func (l *quicLink) Alert() []byte { return l.alert }

// Secrets checks that both sides have the same ones.
func (l *quicLink) Secrets(level rawtls.Level, _ uint16, client, server []byte) error {
	was := l.reading
	l.level, l.reading = tls.QUICEncryptionLevelHandshake, tls.QUICEncryptionLevelHandshake
	if level == rawtls.LevelApplication {
		l.level, l.reading = tls.QUICEncryptionLevelApplication, tls.QUICEncryptionLevelApplication
	}
	if len(l.in[was]) > 0 {
		return errors.New("a message is left over at a change of keys")
	}
	if !bytes.Equal(l.secrets[fmt.Sprint("client ", l.level)], client) || !bytes.Equal(l.secrets[fmt.Sprint("server ", l.level)], server) {
		return fmt.Errorf("the secrets of level %v differ", l.level)
	}
	return nil
}

// TestDifferentialQUIC is TestDifferential without records, over CRYPTO data.
func TestDifferentialQUIC(t *testing.T) {
	n := 4_000
	if testing.Short() || raceEnabled {
		n = 400
	}
	l := newLab(t)
	var tally tally
	eachHello(n, func(i int) {
		r := rand.New(rand.NewPCG(*differentialSeed, uint64(i)))
		site := &l.sites[r.IntN(len(l.sites))]
		gen := &generator{r: r, keys: testKeys(), quic: true}
		l.compareQUIC(t, i, gen.draw(site.name), site, r, &tally)
	})
	tally.report(t)
	l.server[tlspolicy.CloudFrontAlerts].Wait()
}

// predictQUIC is predict with what the engine's order of groups does on QUIC (see the
// deviation in quic.go): of a policy with another order, the first common group is
// the only one that the engine is given. The second result is the reason whose alert
// the client gets, "" when there is none: what the engine does not show to the edge,
// it judges itself, after the decision.
func (l *lab) predictQUIC(g *generated, s *labSite) (tlspolicy.Outcome, tlspolicy.Reason) {
	policy := *s.site.TLS.Effective
	if groups := settleGroups(g.offer.Groups, policy.Groups); len(groups) == 1 {
		policy.Groups = groups
	}
	narrowed := *s
	site := *s.site
	settings := *s.site.TLS
	settings.Effective, site.TLS, narrowed.site = &policy, &settings, &site

	shown := *g
	shown.offer.LegacyVersion, shown.offer.Compression, shown.offer.KeyShareSizes = tlspolicy.TLSv1_2, []byte{0}, nil
	shown.offer.Renegotiation, shown.offer.EarlyData = false, false
	shown.offer.PSKBinders = shown.offer.PSKIdentities
	out := l.predict(g, &narrowed)
	if early := l.predict(&shown, &narrowed); early.Refused {
		return out, early.Reason
	}
	return out, out.Reason
}

func (l *lab) compareQUIC(t *testing.T, i int, g *generated, site *labSite, r *rand.Rand, c *tally) {
	want, told := l.predictQUIC(g, site)
	c.note(&want)
	msg := g.hello.Marshal()
	problems := []string{checkOffer(tlspolicy.QUIC, msg, &g.offer)}

	server := l.server[tlspolicy.CloudFrontAlerts]
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ctx = server.QUICContext(ctx, nil)
	link, err := newQUICLink(ctx, server.QUICConfig(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer link.server.Close()
	client := &rawtls.Client{Hello: g.hello, Keys: testKeys().get}
	result, err := client.Handshake(link)
	facts := server.FactsFor(ctx)
	switch {
	case err != nil:
		problems = append(problems, err.Error())
	case want.Refused:
		problems = append(problems, checkRefusalQUIC(result, told))
		if facts != nil {
			problems = append(problems, fmt.Sprintf("recorded %+v", facts))
		}
	default:
		expected := *g
		// Over QUIC a ticket always follows: quic-go asks for it, whatever the client's modes.
		expected.offer.PSKWithDHE = true
		problems = append(problems, checkAccepted(result, &expected, &want, site))
		if !link.done || facts == nil || facts.Outcome != want || facts.Stage != StageDone {
			problems = append(problems, fmt.Sprintf("done %v, recorded %+v", link.done, facts))
		}
	}
	problems = slices.DeleteFunc(problems, func(p string) bool { return p == "" })
	if len(problems) > 0 {
		c.fail(t, "hello %d (-differential.seed %d -differential.only %d), policy %s, certificates %s:\n%q\npredicted %+v\noffer %+v\nbytes %s",
			i, *differentialSeed, i, site.policy, site.set, problems, want, g.offer, hex.EncodeToString(msg))
	}
}

// checkRefusalQUIC compares the alert, which is always the standards'. The engine
// finds some faults itself and has one alert of its own for one of them.
func checkRefusalQUIC(r *rawtls.Result, reason tlspolicy.Reason) string {
	_, alert := tlspolicy.RFCAlerts.Alert(reason)
	if reason == tlspolicy.ReasonEarlyData {
		alert = tlspolicy.AlertIllegalParameter // early data without a ticket
	}
	if r.Alert == nil || r.Alert[6] != byte(alert) {
		return fmt.Sprintf("%+v, predicted alert %v for %s", withoutChain(r), alert, reason)
	}
	return ""
}
