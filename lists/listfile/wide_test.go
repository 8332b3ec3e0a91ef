package listfile

import (
	"testing"

	"ehlogate/lists/iptable"
)

// Only the clients that an entry covers count towards its width. The figures are those of the IANA registries.
func TestWidthCountsClients(t *testing.T) {
	for text, wide := range map[string]bool{
		"224.0.0.0/3": false, "224.0.0.0/4": false, "240.0.0.0/4": false, "223.0.0.0-255.255.255.255": false, "0.0.0.0/7": false,
		"222.0.0.0-255.255.255.255": true, "222.255.255.255-255.255.255.255": true, "192.0.0.0/2": true, "0.0.0.0/6": true,
		"0.0.0.0-2.0.0.0": true, "127.0.0.0/8": false, "126.0.0.0/7": true, "10.0.0.0/8": false, "0.0.0.0/0": true, "128.0.0.0/1": true,
		"ff00::/8": false, "4000::/2": false, "4000::/3": false, "100::/8": false, "fec0::/10": false, "f000::/5": false,
		"8000::/1": true, "f800::/5": true, "fc00::/7": true, "fe80::/10": true, "fe00::/7": true, "2000::/3": true, "::/0": true,
		"::/8": false, "::/3": false, "::/2": true, "2000::/19": false, "1000::-2000:1fff:ffff:ffff:ffff:ffff:ffff:ffff": false,
		"1000::-2000:2000::": true,
	} {
		from, to, err := ParseSpan(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := isWide(&iptable.Item{From: from, To: to}); got != wide {
			t.Errorf("%s is wide: %v", text, got)
		}
	}
}
