package scenario

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"pqfront/internal/cdn"
	"pqfront/internal/control/configfile"
	"pqfront/internal/edge/accesslog"
	"pqfront/internal/edge/respheaders"
	"pqfront/internal/edge/snapshot"
)

// base is the distribution that scenarios differ from.
//
//go:embed base.json
var base []byte

// distribution FILE [ID]: the edge has this distribution from now on. FILE is a section
// with the parts of the DistributionConfig in which it differs from the base: objects
// are merged, null removes a member, a list stands for CloudFront's {Quantity, Items}.
// Each item of Origins is merged with the base's origin, each one of CacheBehaviors with
// the default behavior. Without FILE it is the base itself.
func (w *world) distribution(args []string) error {
	id := "E1EXAMPLE00001"
	fragment := []byte("{}")
	if len(args) > 0 {
		var ok bool
		if fragment, ok = w.files[args[0]]; !ok {
			return fmt.Errorf("no section %s", args[0])
		}
	}
	if len(args) > 1 {
		id = args[1]
	}
	doc, err := mergeConfig(fragment, id)
	if err != nil {
		return err
	}
	w.configs[id] = doc
	return w.compile()
}

// policy FILE: a policy, as `aws cloudfront get-cache-policy` and its like print it.
func (w *world) policy(args []string) error {
	doc, ok := w.files[args[0]]
	if !ok {
		return fmt.Errorf("no section %s", args[0])
	}
	w.configs["policy "+args[0]] = doc
	return nil
}

func (w *world) compile() error {
	var docs []configfile.Document
	for _, id := range slices.Sorted(maps.Keys(w.configs)) {
		docs = append(docs, configfile.Document{Name: id, Data: w.configs[id]})
	}
	res, err := configfile.Parse(docs, configfile.Options{})
	if err != nil {
		return err
	}
	cert, err := selfSigned()
	if err != nil {
		return err
	}
	s, err := snapshot.Compile(snapshot.Input{
		State: res.State, Generation: 1,
		Certificates: func(d *cdn.Distribution) []tls.Certificate { return []tls.Certificate{cert} },
	})
	if err != nil {
		return err
	}
	w.snapshots.Store(s)
	return nil
}

// selfSigned returns a certificate for every name under example.org.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		DNSNames: []string{"example.org", "*.example.org", "*.cloudfront.net"},
	}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

type object = map[string]any

func mergeConfig(fragment []byte, id string) ([]byte, error) {
	var doc, f object
	if err := json.Unmarshal(base, &doc); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(fragment, &f); err != nil {
		return nil, err
	}
	d := doc["Distribution"].(object)
	d["Id"], d["DomainName"] = id, "d"+strings.ToLower(id[1:])+".cloudfront.net"
	d["ARN"] = "arn:aws:cloudfront::000000000000:distribution/" + id
	c := d["DistributionConfig"].(object)
	c["CallerReference"] = "scenario " + id
	origin := c["Origins"].(object)["Items"].([]any)[0]
	merge(c, f)
	mergeItems(c["Origins"], origin)
	mergeItems(c["CacheBehaviors"], c["DefaultCacheBehavior"])
	count(doc)
	return json.Marshal(doc)
}

// merge puts f over to.
func merge(to, f object) {
	for k, v := range f {
		switch v := v.(type) {
		case nil:
			delete(to, k)
		case object:
			if old, ok := to[k].(object); ok {
				merge(old, v)
				continue
			}
			to[k] = v
		case []any:
			if k == "Items" {
				to[k] = v
				delete(to, "Quantity")
				continue
			}
			to[k] = object{"Items": v}
		default:
			to[k] = v
		}
	}
}

// mergeItems completes each item of a list from a pattern.
func mergeItems(list, pattern any) {
	items, _ := list.(object)["Items"].([]any)
	for i, it := range items {
		whole := clone(pattern).(object)
		merge(whole, it.(object))
		if whole["S3OriginConfig"] != nil {
			delete(whole, "CustomOriginConfig")
		}
		items[i] = whole
	}
}

func clone(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // it was JSON
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		panic(err)
	}
	return out
}

// count turns the lists that were given bare into {Quantity, Items} and fills in quantities.
func count(v any) {
	switch v := v.(type) {
	case object:
		for k, x := range v {
			if l, ok := x.([]any); ok && k != "Items" {
				v[k] = object{"Items": l}
			}
			count(v[k])
		}
		if items, ok := v["Items"].([]any); ok && v["Quantity"] == nil {
			v["Quantity"] = len(items)
			if len(items) == 0 {
				delete(v, "Items")
			}
		}
	case []any:
		for _, x := range v {
			count(x)
		}
	}
}

// identity is the same in every scenario, so that Via can be expected.
func identity() *respheaders.Identity {
	id, err := respheaders.NewIdentity("cloudfront", [16]byte{0xab, 0xcd}, "NRT12-P9")
	if err != nil {
		panic(err)
	}
	return id
}

// logField returns a field of a record by its name in the JSON log.
func logField(r *accesslog.Record, name string) (string, error) {
	var line object
	if err := json.Unmarshal(accesslog.AppendJSON(nil, r), &line); err != nil {
		return "", err
	}
	v, ok := line[name]
	if !ok {
		return "-", nil
	}
	return fmt.Sprint(v), nil
}
