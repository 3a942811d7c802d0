/** The three questions that an invader answers: what is asked is checked here, and computed elsewhere. */

import { createHash } from 'node:crypto';

import { busy, invalidArgument, notFound, shown, tooSlow } from './refusals.mjs';
import { DISCLOSURE_PROBABILITIES, REGION_FULL } from './schema.mjs';

const MAX_CANDIDATES = 50;
const MAX_PER_PAGE = 10_000;
const MAX_CALLS = 64; // under way and waiting
const MAX_SECONDS = 60;
const TERMINATED = 'Terminating worker thread'; // how Tinypool says so

/** Answers about one label set, by several target models. */
export class Invader {
  #identities;
  #pool;
  #targetModels;
  #underWay = 0;

  /** `pool` runs worker.mjs, which knows `models` by their names. */
  constructor({ identities, models, pool }) {
    this.#identities = identities;
    this.#pool = pool;
    this.#targetModels = [...models].sort().map((name) => ({
      name,
      identities: identities.length,
      label_set_sha256: sha256(identities.join('\n')),
      max_candidates: Math.min(MAX_CANDIDATES, identities.length),
      regions: [REGION_FULL],
    }));
    this.modelsDigest = sha256(JSON.stringify(this.#targetModels));
  }

  /** `enrols` stays false: nothing is enrolled from clients, and there is no GalleryService. */
  listTargetModels() {
    return { target_models: this.#targetModels, disclosure: DISCLOSURE_PROBABILITIES };
  }

  listIdentities({ target_model, page_size, page_token }) {
    this.#model('target_model', target_model);
    if (page_size < 0 || page_size > MAX_PER_PAGE) throw invalidArgument('page_size', `0..${MAX_PER_PAGE}`, page_size);
    const start = page_token === '' ? 0 : Number(/^[1-9]\d{0,8}$/.exec(page_token));
    if ((page_token !== '' && start === 0) || start >= this.#identities.length) {
      throw invalidArgument('page_token', 'the next_page_token of a page before', shown(page_token));
    }
    const end = start + (page_size || MAX_PER_PAGE);
    const next_page_token = end < this.#identities.length ? String(end) : '';
    return { identities: this.#identities.slice(start, end), next_page_token };
  }

  /** `signal` says that the answer is no longer waited for. */
  async classify({ image, target_models, k, region }, signal) {
    if (target_models.length === 0) throw invalidArgument('target_models', 'at least one', 'none');
    const models = target_models.map((name, i) => this.#model(`target_models[${i}]`, name));
    if (new Set(target_models).size < models.length) throw invalidArgument('target_models', 'each once', 'one repeated');
    const most = Math.min(...models.map((model) => model.max_candidates));
    if (k < 1 || k > most) throw invalidArgument('k', `1..${most}`, k);
    if (region !== REGION_FULL) throw invalidArgument('region', `REGION_FULL (${REGION_FULL})`, region);
    const { all, expected, got } = await this.#compute({ image, models: target_models }, signal);
    if (!all) throw invalidArgument('image', expected, got);
    const classifications = target_models.map((target_model, i) => ({ target_model, candidates: this.#ranked(all[i], k) }));
    return { face_found: true, classifications };
  }

  #model(field, name) {
    const found = this.#targetModels.find((model) => model.name === name);
    if (!found) throw notFound(field, 'a target model as listed', shown(name));
    return found;
  }

  async #compute(query, cancelled) {
    if (this.#underWay >= MAX_CALLS) throw busy(MAX_CALLS);
    this.#underWay += 1;
    const expired = AbortSignal.timeout(1000 * MAX_SECONDS);
    try {
      return await this.#answered(query, AbortSignal.any([cancelled, expired]));
    } catch (error) {
      throw expired.aborted ? tooSlow(MAX_SECONDS) : error;
    } finally {
      this.#underWay -= 1;
    }
  }

  /** Tinypool may give a call to a thread that it is terminating for a cancelled one: such a call is made again. */
  async #answered(query, signal) {
    for (;;) {
      try {
        return await this.#pool.run(query, { signal });
      } catch (error) {
        if (signal.aborted || error.message !== TERMINATED) throw error;
      }
    }
  }

  /** By probability before rounding, then by class index, which a stable sort keeps. */
  #ranked(probabilities, k) {
    const classes = probabilities.map((_, index) => index).sort((a, b) => probabilities[b] - probabilities[a]);
    const identities = this.#identities;
    return classes.slice(0, k).map((i) => ({ identity: identities[i], probability: rounded(probabilities[i]) }));
  }
}

function rounded(probability) {
  return Math.round(probability * 10_000) / 10_000;
}

function sha256(text) {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}
