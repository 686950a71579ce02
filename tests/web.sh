#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A web server in a pod and its clients in another: nginx and wrk. To be sourced after lab.sh.
#
#   web_start a                  nginx in pod a serves /1k, /10k, /100k, /1m (bytes, decimal)
#   web_load b a SECONDS PATH CLIENTS keep|close
#                                wrk in b; LAB_FAMILY=6 for IPv6. The result is in WEB_*:
#   WEB_BPS        L3 bits/s that b received meanwhile
#   WEB_PAYLOAD    bytes/s of responses, with their headers
#   WEB_P50_MS WEB_P99_MS        from request to response, without the handshake
#   WEB_FAILED     connections refused or reset, responses not read, requests that took above 2 s
#   WEB_LATE       of these the last
#   WEB_RESENT     data segments that a sent again; SYN-ACKs are none
#   WEB_TIMEOUTS   retransmission timeouts of b

WEB_BPS='' WEB_PAYLOAD='' WEB_P50_MS='' WEB_P99_MS='' WEB_FAILED='' WEB_LATE='' WEB_RESENT=''
WEB_TIMEOUTS=''
WEB_ROOT=

web_start() {
	local size tries
	WEB_ROOT=$LAB_TMP/www
	mkdir -p "$WEB_ROOT"
	chmod 755 "$LAB_TMP" "$WEB_ROOT"
	for size in 1k:1000 10k:10000 100k:100000 1m:1000000; do
		head -c "${size#*:}" /dev/urandom >"$WEB_ROOT/${size%:*}"
	done
	cat >"$LAB_TMP/nginx.conf" <<-END
		daemon off;
		worker_processes 1;
		pid $LAB_TMP/nginx.pid;
		error_log $LAB_TMP/nginx.log;
		events { worker_connections 4096; }
		http {
			access_log off;
			sendfile on;
			tcp_nopush on;
			keepalive_requests 1000000000;
			server {
				listen 80;
				listen [::]:80;
				root $WEB_ROOT;
			}
		}
	END
	lab_spawn "$1" nginx -c "$LAB_TMP/nginx.conf" -p "$LAB_TMP" -e "$LAB_TMP/nginx.log"
	for ((tries = 0; tries < 100; tries++)); do
		[ -z "$(lab_in "$1" ss -Hltn 'sport = :80')" ] || return 0
		sleep 0.05
	done
	lab_fail "nginx does not listen: $(tail -3 "$LAB_TMP/nginx.log")"
}

# What has arrived in the pod in L3 bytes, as in tests/traffic/wire.c, and three counters of TCP.
web_counters() {
	lab_in "$1" cat /proc/self/net/snmp /proc/self/net/netstat /proc/self/net/snmp6 | awk '
		/^[A-Za-z]+:/ {
			if ($1 in names) {
				split(names[$1], name, " ")
				for (i = 2; i <= NF; i++)
					value[$1 name[i]] = $i
			} else {
				names[$1] = $0
			}
			next
		}
		{ value[$1] = $2 }
		function segments(prefix) {
			return value[prefix "InNoECTPkts"] + value[prefix "InECT1Pkts"] + \
				value[prefix "InECT0Pkts"] + value[prefix "InCEPkts"]
		}
		END {
			printf "%.0f %d %d\n", value["IpExt:InOctets"] + value["Ip6InOctets"] + \
				(segments("IpExt:") - value["Ip:InReceives"]) * 52 + \
				(segments("Ip6") - value["Ip6InReceives"]) * 72, \
				value["Tcp:RetransSegs"], value["TcpExt:TCPTimeouts"]
		}'
}

# The report of wrk in the units above.
web_report() {
	awk '
		function ms(text) {
			return text ~ /us$/ ? text / 1000 : text ~ /ms$/ ? text + 0 : text * 1000
		}
		function bytes(text) {
			return text * (text ~ /GB$/ ? 2 ^ 30 : text ~ /MB$/ ? 2 ^ 20 : text ~ /KB$/ ? 2 ^ 10 : 1)
		}
		$1 == "50%" { p50 = ms($2) }
		$1 == "99%" { p99 = ms($2) }
		$1 == "Transfer/sec:" { payload = bytes($2) }
		/Socket errors/ { gsub(",", ""); failed = $4 + $6 + $8 + $10; late = $10 }
		END { printf "%.0f %.3f %.3f %d %d\n", payload, p50, p99, failed, late }' "$1"
}

web_load() {
	local client=$1 server=$2 seconds=$3 url headers=() before after from was
	url=$(lab_address "$server")
	[ "${LAB_FAMILY:-4}" = 4 ] || url=[$url]
	[ "$6" = keep ] || headers=(-H 'Connection: close')
	# one side or the other keeps a port for a minute: as many as there are
	lab_in "$client" sysctl -qw net.ipv4.ip_local_port_range='1024 65535'
	was=$(web_counters "$server")
	from=$(date +%s%N) before=$(web_counters "$client")
	lab_exec "$client" wrk -t 1 -c "$5" -d "${seconds}s" --latency "${headers[@]}" "http://$url/$4" \
		>"$LAB_TMP/wrk"
	after=$(web_counters "$client") from=$(($(date +%s%N) - from))
	read -r WEB_PAYLOAD WEB_P50_MS WEB_P99_MS WEB_FAILED WEB_LATE <<<\
		"$(web_report "$LAB_TMP/wrk")"
	WEB_BPS=$(awk -v a="$before" -v b="$after" -v ns="$from" \
		'BEGIN { split(a, x); split(b, y); printf "%.0f", (y[1] - x[1]) * 8e9 / ns }')
	WEB_TIMEOUTS=$(awk -v a="$before" -v b="$after" \
		'BEGIN { split(a, x); split(b, y); print y[3] - x[3] }')
	# a SYN-ACK that is sent again counts in both
	WEB_RESENT=$(awk -v a="$was" -v b="$(web_counters "$server")" 'BEGIN { split(a, x); split(b, y)
		n = y[2] - x[2] - (y[3] - x[3]); print(n > 0 ? n : 0) }')
}
