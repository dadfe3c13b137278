//! `/pipeline`: partitions with their owners and lag, channels with their backlog, brokers that are away.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::layout::{NavPlace, Page, number, shown, span};
use super::{PartitionStatus, PipelineStatus, Status, table};
use crate::metrics::ChannelFigures;

pub(super) async fn page(State(status): State<Arc<Status>>) -> Response {
    let pipeline = status.pipeline();
    let problems = status.problems();
    let page = Page {
        place: NavPlace::Pipeline,
        title: "Pipeline".to_owned(),
        fixed: html! {},
        live: html! {
            @for problem in &problems { p.problem { (shown(problem)) } }
            @if problems.is_empty() { p { "This process does its work." } }
            (partitions(&pipeline))
            (channels(&pipeline.channels))
        },
        json: "/api/v1/pipeline".to_owned(),
    };
    page.answer(&status)
}

fn partitions(pipeline: &PipelineStatus) -> Markup {
    html! {
        section {
            h2 id="partitions" { "Partitions" }
            p.soft {
                "A lag is known of the partitions of this process."
                @if let Some(brokers) = pipeline.brokers { " " (brokers) @if brokers == 1 { " broker answers" } @else { " brokers answer" } "." }
            }
            @if pipeline.partitions.is_empty() { p { "This process has no partition yet." } } @else {
                div.scroll tabindex="0" role="region" aria-labelledby="partitions" {
                    table.wide {
                        thead { tr { @for name in ["Partition", "Owner", "Records behind", "Seconds behind", "In the last 20 minutes"] { th scope="col" { (name) } } } }
                        tbody { @for partition in &pipeline.partitions { (partition_row(partition)) } }
                    }
                }
            }
        }
    }
}

fn partition_row(known: &PartitionStatus) -> Markup {
    let records = |count: i64| number(u64::try_from(count).unwrap_or(0));
    html! {
        tr {
            th scope="row" { (known.machine) " " (known.partition) }
            td { @match &known.owner {
                Some(owner) => { (shown(owner)) @if let Some(host) = &known.owner_host { br; span.soft { (shown(host)) } } },
                None => "this process",
            } }
            td.number { @match known.lag_records { Some(lag) => (records(lag)), None => "-" } }
            td.number { @match known.lag_seconds { Some(lag) => (format!("{lag:.1}")), None => "-" } }
            td { (table::lag(&known.lag_records_before)) }
        }
    }
}

fn channels(channels: &[ChannelFigures]) -> Markup {
    html! {
        section {
            h2 id="channels" { "Channels" }
            @if channels.is_empty() { p { "No channel is configured: no person receives alerts." } } @else {
                div.scroll tabindex="0" role="region" aria-labelledby="channels" {
                    table.wide {
                        thead { tr { @for name in ["Channel", "Waiting", "Held", "Oldest", "Delivered", "Failed attempts", "Set aside"] { th scope="col" { (name) } } } }
                        tbody { @for channel in channels { (channel_row(channel)) } }
                    }
                }
                p.soft { "Delivered and failed attempts are counted from the start of this process." }
            }
        }
    }
}

fn channel_row(channel: &ChannelFigures) -> Markup {
    html! {
        tr {
            th scope="row" { (shown(&channel.name)) }
            @match channel.backlog {
                Some(backlog) => {
                    td.number { (backlog) }
                    td.number { (channel.held.unwrap_or(0)) }
                    td.number { @match channel.oldest_seconds { Some(age) if age > 0.0 => (span((age * 1000.0) as i64)), _ => "-" } }
                },
                None => td colspan="3" { span.soft { "not delivered by this process" } },
            }
            td.number { (number(channel.delivered)) }
            td.number { (number(channel.failed)) }
            td.number { @match channel.parked_now { Some(parked) => (parked), None => "-" } }
        }
    }
}
